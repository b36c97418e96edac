"""Segments of the log of served lists: files below `CUVEE_HOME/lists`, on their way to the table.

    STAMP-PID-TOKEN.open      one process adds to it, and holds its lock for as long as it lives
    STAMP-PID-TOKEN.N.jsonl   whole: N lines at most, nobody adds to it any more

An open segment whose lock nobody holds is a dead process's: what it has of lines is made whole, and
the half of one at its end is no line, nor are blanks. Where whole ones wait for too long the oldest
go.
"""

import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

import orjson

from features.errors import StoreError
from features.lists import line
from features.lock import locked
from features.whole_file import named

FOLDER = "lists"
OPEN, WHOLE, SCRATCH = ".open", ".jsonl", ".new"

SEGMENT_BYTES = 4 * 2**20
SEGMENT_S = 10.0
"""When a segment is whole, whichever comes first."""

ROOM_EVERY_S = 1.0
"""How often a writer looks whether there are too many: to look at hundreds takes milliseconds."""

MOST_SMALL = 100
"""So many whole segments wait: nobody carries them, and none is whole for its age any more."""

_NAMING_S = 60.0
"""Longer than it takes to give a segment its name."""


class Segment(NamedTuple):
    """A whole segment: `lines` is how many it had."""

    path: Path
    lines: int
    size: int


def whole_segments(home: Path) -> list[Segment]:
    """Return the segments that are whole, the oldest first."""
    found = []
    for path in sorted((home / FOLDER).glob(f"*{WHOLE}")):
        lines = path.name.split(".")[-2]
        with suppress(FileNotFoundError):  # carried, just now
            found.append(Segment(path, int(lines) if lines.isdigit() else 0, path.stat().st_size))
    return found


def is_waiting(home: Path) -> bool:
    """Tell whether any segment waits for the table, whole or not."""
    return any(any((home / FOLDER).glob(f"*{end}")) for end in (OPEN, WHOLE))


def close_abandoned(home: Path) -> None:
    """Make segments whole whose process is gone; raise `OSError` where that cannot be done."""
    folder = home / FOLDER
    for path in folder.glob(f"*{OPEN}"):
        with suppress(FileNotFoundError), path.open("rb") as file:
            if _is_free(file):
                lines = file.read().count(b"\n")
                path.rename(path.with_suffix(f".{lines}{WHOLE}"))
    for path in folder.glob(f"*{SCRATCH}"):
        with suppress(FileNotFoundError):
            if abs(time.time() - path.stat().st_mtime) > _NAMING_S:
                path.unlink()


@contextmanager
def reading(path: Path) -> Iterator[IO[bytes]]:
    """Give a whole segment to read, which nobody makes room of meanwhile."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield file


def make_room(home: Path, most_bytes: int) -> int:
    """Remove the oldest whole segments while all have more than `most_bytes`; count their lines.

    What dead processes left is whole by now; one that is being read stays.
    """
    with suppress(OSError):  # of a disk that refuses names, others can be removed all the same
        close_abandoned(home)
    segments = whole_segments(home)
    size = sum(each.size for each in segments) + sum(map(_size, (home / FOLDER).glob(f"*{OPEN}")))
    dropped = 0
    for each in segments:
        if size <= most_bytes:
            break
        with suppress(FileNotFoundError), each.path.open("rb") as file:
            if _is_free(file):
                each.path.unlink()
                dropped += each.lines
                size -= each.size
    return dropped


def forget(home: Path, until_ms: Mapping[str, int], now_ms: int) -> None:
    """Drop the lines of shoppers up to a stamp each; raise `StoreError`.

    Those of later than `now_ms`, too: by a clock that was ahead. In open segments blanks take their
    place, since somebody goes on writing behind them.
    """
    is_gone = _Gone(until_ms, now_ms)
    if not (home / FOLDER).is_dir():
        return
    try:
        with locked(home / FOLDER):
            close_abandoned(home)
            for path in (home / FOLDER).glob(f"*{OPEN}"):  # first: it may be whole a moment later
                _blank_in(path, is_gone)
            for each in whole_segments(home):
                _drop_from(each.path, is_gone)
    except OSError as error:
        raise StoreError(f"served lists: {error}") from error


class _Gone:
    """Tells which lines are of shoppers up to a stamp each, or of later than now."""

    def __init__(self, until_ms: Mapping[str, int], now_ms: int) -> None:
        self._until_ms = until_ms
        self._now_ms = now_ms
        self._names = [orjson.dumps(user_id) for user_id in until_ms]

    def may_be_in(self, content: bytes) -> bool:
        return any(name in content for name in self._names)

    def __call__(self, told: bytes) -> bool:
        """Tell whether a line is one of them; the half of one may be."""
        if not self.may_be_in(told):
            return False
        known = line.whose(told)
        if known is None:
            return True
        user_id, at_ms = known
        until_ms = self._until_ms.get(user_id)
        return until_ms is not None and not until_ms < at_ms <= self._now_ms


def _drop_from(path: Path, is_gone: _Gone) -> None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    if not is_gone.may_be_in(content):
        return
    lines = content.splitlines(keepends=True)
    kept = [each for each in lines if not is_gone(each)]
    if len(kept) < len(lines):
        scratch = path.with_suffix(SCRATCH)
        with named(scratch):
            scratch.write_bytes(b"".join(kept))
        scratch.replace(path)


def _blank_in(path: Path, is_gone: _Gone) -> None:
    """Overwrite whole lines; the last may be one that is being written."""
    with suppress(FileNotFoundError), path.open("r+b") as file:
        content = file.read()
        if not is_gone.may_be_in(content):
            return
        place = 0
        for each in content.splitlines(keepends=True):
            if each.endswith(b"\n") and is_gone(each):
                os.pwrite(file.fileno(), b" " * (len(each) - 1), place)
            place += len(each)


class SegmentWriter:
    """Adds lines to this process's segments. Its methods are for one thread."""

    def __init__(
        self, home: Path, most_bytes: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Write below `home`, where all segments together have at most `most_bytes`.

        Or as much more as is written in `ROOM_EVERY_S`.
        """
        self._home = home
        self._folder = home / FOLDER
        self._most_bytes = most_bytes
        self._clock = clock
        self._file: IO[bytes] | None = None
        self._path = Path()
        self._began = 0.0
        self._lines = 0
        self._size = 0
        self._looked = float("-inf")
        self._made_room = float("-inf")
        self._is_waiting = False

    def write(self, lines: Sequence[bytes]) -> None:
        """Add lines, all of them or, with an `OSError`, none."""
        file = self._file or self._open()
        content = b"".join(lines)
        try:
            self._write_all(file, content)
        except OSError:
            with suppress(OSError):
                file.seek(self._size)
                file.truncate()
            raise
        self._lines += len(lines)
        self._size += len(content)

    def _write_all(self, file: IO[bytes], content: bytes) -> None:
        if file.write(content) != len(content):
            raise OSError(f"{self._path}: not written to its end")

    def tend(self) -> int:
        """Make the segment whole if it is time; return how many lines were dropped for room.

        Raises `OSError`.
        """
        if self._file is None:
            return 0
        age_s = self._clock() - self._began
        if self._size < SEGMENT_BYTES and (age_s < SEGMENT_S or self._nobody_carries()):
            return 0
        self.close()
        return self._make_room()

    def close(self) -> None:
        """Make the segment whole, if there is one."""
        file, self._file = self._file, None
        if file is None:
            return
        with file:
            if self._lines:
                self._path.rename(self._path.with_suffix(f".{self._lines}{WHOLE}"))
            else:
                self._path.unlink()

    def _open(self) -> IO[bytes]:
        """Begin a segment: it is locked before it has its name, or it would be a dead process's."""
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns() // 1_000:016d}-{os.getpid()}-{secrets.token_hex(4)}"
        self._path = self._folder / f"{name}{OPEN}"
        scratch = self._path.with_suffix(SCRATCH)
        file = scratch.open("xb", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            scratch.rename(self._path)
        except OSError:
            file.close()
            raise
        self._file, self._began, self._lines, self._size = file, self._clock(), 0, 0
        return file

    def _make_room(self) -> int:
        now = self._clock()
        if now - self._made_room < ROOM_EVERY_S:
            return 0
        self._made_room = now
        return make_room(self._home, self._most_bytes)

    def _nobody_carries(self) -> bool:
        """Tell whether many segments wait, as it was a moment ago."""
        now = self._clock()
        if now - self._looked >= SEGMENT_S:
            self._looked = now
            self._is_waiting = len(whole_segments(self._home)) > MOST_SMALL
        return self._is_waiting


def _is_free(file: IO[bytes]) -> bool:
    """Take the lock of a file if nobody has it; it ends with the file."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0
