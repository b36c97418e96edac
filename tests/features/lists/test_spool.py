"""Segments of served lists: whole lines only, bounded, whatever dies or refuses."""

import fcntl
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from features.errors import StoreError
from features.lists import spool
from features.lists.line import Noted, encode, parse, whose
from features.lists.spool import Segment, SegmentWriter
from tests.support.listed import MOST_BYTES, list_line, write_segment


@contextmanager
def no_larger_files(most_bytes: int) -> Iterator[None]:
    """Let the disk take no more than so many bytes of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def lines_of(home: Path) -> list[bytes]:
    """Return the lines of all whole segments."""
    return [
        each
        for segment in spool.whole_segments(home)
        for each in segment.path.read_bytes().splitlines(keepends=True)
    ]


def test_a_line_says_what_was_served() -> None:
    """All of it, in the columns of the table; what is no line is none."""
    told = list_line(
        "r1", "am\u00e9lie", 1_760_000_000_123, ["i1", "i2"], 10, propensities=(0.5, 1)
    )
    row = parse(told)
    assert row is not None
    assert (row["recommendation_id"], row["user_id"]) == ("r1", "am\u00e9lie")
    assert (row["served_at"], str(row["day"])) == (1_760_000_000_123_000, "2025-10-09")
    assert (row["items"], row["scores"], row["after"]) == (["i1", "i2"], [1.0, 0.5], 10)
    assert (row["propensities"], row["page"], row["source"]) == ([0.5, 1], "home", "model")
    assert whose(told) == ("am\u00e9lie", 1_760_000_000_123)
    plain = parse(list_line("r2", "u", 0, []))
    assert plain is not None
    assert (plain["items"], plain["propensities"]) == ([], None)


@pytest.mark.parametrize(
    "told",
    [
        list_line("r", "u", 0)[:-9],
        b"{}",
        b"[]",
        b"7",
        b"\n",
        encode(b'{"recommendation_id":7}', Noted(0, "home")),
        list_line("r", "u", 1 << 60),
        list_line("r", "u", 0, ["i1"], propensities=(0.5, 0.5)),
        list_line("r", "u", 0, ["i1"], scores=["high"]),
    ],
)
def test_what_is_no_line_is_none(told: bytes) -> None:
    """Torn, of other fields, of no time there is, or of more chances than items."""
    assert parse(told) is None


def test_segments_are_whole_by_size_age_and_at_the_end(tmp_path: Path) -> None:
    """Until then nobody sees them; a writer of nothing leaves nothing."""
    now = 0.0
    writer = SegmentWriter(tmp_path, MOST_BYTES, lambda: now)
    assert writer.tend() == 0
    writer.write([list_line("r1", "u", 1), list_line("r2", "u", 2)])
    assert (writer.tend(), spool.whole_segments(tmp_path)) == (0, [])
    now = spool.SEGMENT_S
    writer.tend()
    (first,) = spool.whole_segments(tmp_path)
    assert (first.lines, first.size) == (2, first.path.stat().st_size)
    writer.write([b"x" * spool.SEGMENT_BYTES])
    writer.tend()
    assert len(spool.whole_segments(tmp_path)) == 2
    writer.write([list_line("r3", "u", 3)])
    writer.close()
    writer.close()
    assert len(lines_of(tmp_path)) == 4
    assert [path.suffix for path in (tmp_path / spool.FOLDER).iterdir()] == [spool.WHOLE] * 3


def test_what_a_dead_process_left_is_made_whole(tmp_path: Path) -> None:
    """Without the half of a line at its end; what a living one writes is left alone."""
    living = SegmentWriter(tmp_path, MOST_BYTES)
    living.write([list_line("r0", "u", 0)])
    torn = list_line("r1", "u", 1) + list_line("r2", "u", 2)[:-20]
    (tmp_path / spool.FOLDER / "1-9-abcd.open").write_bytes(torn)
    (tmp_path / spool.FOLDER / "1-9-abce.new").touch()

    spool.close_abandoned(tmp_path)
    (segment,) = spool.whole_segments(tmp_path)
    assert (segment.path.name, segment.lines) == ("1-9-abcd.1.jsonl", 1)
    assert [parse(each) is None for each in lines_of(tmp_path)] == [False, True]
    living.write([list_line("r3", "u", 3)])
    living.close()
    assert len(spool.whole_segments(tmp_path)) == 2


def test_the_oldest_go_where_too_many_wait(tmp_path: Path) -> None:
    """They are counted; one that is being read stays, and goes another time."""
    for number in range(5):
        write_segment(tmp_path, [list_line(f"r{number}{n}", "u", n) for n in range(number + 1)])
    before: list[Segment] = spool.whole_segments(tmp_path)
    room = sum(each.size for each in before[3:])
    with spool.reading(before[0].path):
        assert spool.make_room(tmp_path, room + before[0].size) == 2 + 3
    assert spool.make_room(tmp_path, room) == 1
    assert spool.make_room(tmp_path, room) == 0
    assert spool.whole_segments(tmp_path) == before[3:]
    writer = SegmentWriter(tmp_path, 1, lambda: 0.0)
    writer.write([b"x" * spool.SEGMENT_BYTES])
    assert writer.tend() == 4 + 5 + 1


def test_a_writer_looks_for_room_once_a_second(tmp_path: Path) -> None:
    """Thousands of lists a second fill many segments; what is too much then goes with the next."""
    now = 0.0
    writer = SegmentWriter(tmp_path, 1, lambda: now)
    dropped = []
    for now in (0.0, 0.1, spool.ROOM_EVERY_S):  # noqa: B007 - the writer's clock
        writer.write([b"x" * spool.SEGMENT_BYTES + b"\n"])
        dropped.append(writer.tend())
    assert dropped == [1, 0, 2]
    assert spool.whole_segments(tmp_path) == []


def test_what_the_killed_left_makes_room_too(tmp_path: Path) -> None:
    """Where nobody carries, or it would stay for ever, and the living have no room."""
    program = (
        "import os, pathlib, sys\n"
        "from features.lists.spool import SegmentWriter\n"
        "writer = SegmentWriter(pathlib.Path(sys.argv[1]), 2**30)\n"
        "writer.write([b'{}\\n'] * 3)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert killed.returncode == -9
    living = SegmentWriter(tmp_path, MOST_BYTES)
    living.write([b"{}\n"])
    assert len(list((tmp_path / spool.FOLDER).iterdir())) == 2
    assert spool.make_room(tmp_path, 3) == 3
    assert [each.suffix for each in (tmp_path / spool.FOLDER).iterdir()] == [spool.OPEN]
    living.close()


def test_where_nobody_carries_segments_become_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of a week would else have tens of thousands."""
    monkeypatch.setattr(spool, "MOST_SMALL", 1)
    now = 0.0
    writer = SegmentWriter(tmp_path, MOST_BYTES, lambda: now)
    for _ in range(4):
        writer.write([list_line("r", "u", 0)])
        now += spool.SEGMENT_S
        writer.tend()
    assert len(spool.whole_segments(tmp_path)) == 2
    for each in spool.whole_segments(tmp_path):
        each.path.unlink()
    now += spool.SEGMENT_S
    writer.tend()
    assert [each.lines for each in spool.whole_segments(tmp_path)] == [2]


def test_a_full_disk_leaves_no_half_of_a_line(tmp_path: Path) -> None:
    """What it refused is told, and the next finds its place."""
    writer = SegmentWriter(tmp_path, MOST_BYTES)
    first, second, third = (list_line(f"r{n}", "u", n) for n in range(3))
    writer.write([first])
    with no_larger_files(len(first) + 10), pytest.raises(OSError, match=r"too large|to its end"):
        writer.write([second])
    writer.write([third])
    writer.close()
    assert lines_of(tmp_path) == [first, third]
    assert spool.whole_segments(tmp_path)[0].lines == 2


def test_the_forgotten_go_from_whole_segments(tmp_path: Path) -> None:
    """Up to the stamp, and nobody else; what is half of a line may be theirs."""
    torn = list_line("r5", 'u"1', 5)[:-30]
    told = [list_line(f"r{n}", user, n) for n, user in enumerate(['u"1', "u2", 'u"1', "u3"])]
    write_segment(tmp_path, [*told, torn])
    write_segment(tmp_path, [list_line("r9", "u2", 9)])
    untouched = spool.whole_segments(tmp_path)[1].path.stat().st_mtime_ns

    spool.forget(tmp_path, {'u"1': 1, "nobody": 9}, 9)
    assert lines_of(tmp_path) == [*told[1:], list_line("r9", "u2", 9)]
    assert spool.whole_segments(tmp_path)[1].path.stat().st_mtime_ns == untouched
    spool.forget(tmp_path, {'u"1': 2, "u2": 9}, 9)
    assert lines_of(tmp_path) == [told[3]]


def test_forgetting_where_there_is_no_log(tmp_path: Path) -> None:
    """Nothing is made; what cannot be read is told in words."""
    spool.forget(tmp_path, {"u": 1}, 9)
    assert list(tmp_path.iterdir()) == []
    write_segment(tmp_path, [list_line("r", "u", 1)])
    (tmp_path / spool.FOLDER / "2.7.jsonl").mkdir()
    with pytest.raises(StoreError, match="served lists: "):
        spool.forget(tmp_path, {"u": 1}, 9)


def test_a_segment_has_its_lock_before_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or somebody might take it for a dead process's; a lock that is refused leaves no segment."""

    def refuse(*_: object) -> None:
        raise OSError("no locks available")

    writer = SegmentWriter(tmp_path, MOST_BYTES)
    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", refuse)
        with pytest.raises(OSError, match="no locks"):
            writer.write([b"{}\n"])
    assert list((tmp_path / spool.FOLDER).glob(f"*{spool.OPEN}")) == []
    writer.write([b"{}\n"])
    assert len(list((tmp_path / spool.FOLDER).glob(f"*{spool.OPEN}"))) == 1
    writer.close()
