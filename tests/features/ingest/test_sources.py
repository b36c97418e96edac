"""Reading CSV, gzip, zip members and Parquet as a user's disk has them."""

import gzip
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import polars as pl
import pytest

from features.errors import InputError
from features.ingest import sources
from features.ingest.sources import read_batches

LINES = "id,n\na,1\nb,\n"


def read(path: Path | str, encoding: str = "utf-8") -> tuple[list[dict[str, object]], list[int]]:
    """Return all rows of a file and their numbers."""
    batches = list(read_batches(str(path), encoding=encoding))
    rows = [row for batch in batches for row in batch.frame.to_dicts()]
    return rows, [int(number) for batch in batches for number in batch.rows]


def packed(path: Path, members: dict[str, bytes]) -> Path:
    """Write a zip of `members`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_every_form_of_a_csv_reads_alike(tmp_path: Path) -> None:
    """Plain, gzip and zip member give the same text rows, numbered from 2 below the header."""
    (tmp_path / "t.csv").write_text(LINES)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(LINES.encode()))
    packed(tmp_path / "t.zip", {"x/t.csv": LINES.encode(), "other.txt": b"-"})
    expected = ([{"id": "a", "n": "1"}, {"id": "b", "n": None}], [2, 3])

    for name in ("t.csv", "t.csv.gz", "t.zip!x/t.csv"):
        assert read(f"{tmp_path}/{name}") == expected


def test_a_file_is_let_go_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it was read out: a thread that reads on while the process ends aborts it."""
    stopped: list[bool] = []
    stop = sources._Replayed.stop

    def noted(stream: "sources._Replayed") -> None:
        stop(stream)
        stopped.append(stream._ended.is_set())

    monkeypatch.setattr(sources._Replayed, "stop", noted)
    (tmp_path / "t.csv").write_text(LINES)
    read(tmp_path / "t.csv")
    (tmp_path / "none.csv").write_text("id,n\n")
    with pytest.raises(InputError, match="holds no rows"):
        read(tmp_path / "none.csv")
    assert stopped == [True, True]


def test_a_zip_of_one_file_needs_no_member(tmp_path: Path) -> None:
    """The only member is meant; with several, the message lists them."""
    assert read(packed(tmp_path / "one.zip", {"a.csv": LINES.encode()}))[1] == [2, 3]

    two = packed(tmp_path / "two.zip", {"a.csv": b"", "b.csv": b""})
    with pytest.raises(InputError, match=r"two\.zip!MEMBER with one of a\.csv, b\.csv"):
        read(two)
    with pytest.raises(InputError, match=r"no member 'c\.csv'"):
        read(f"{two}!c.csv")


def test_parquet_keeps_types_and_counts_from_one(tmp_path: Path) -> None:
    """Parquet has no header, alone or inside a zip."""
    buffer = io.BytesIO()
    pl.DataFrame({"id": ["a", "b"], "n": [1, 2]}).write_parquet(buffer)
    (tmp_path / "t.parquet").write_bytes(buffer.getvalue())
    packed(tmp_path / "t.zip", {"t.parquet": buffer.getvalue()})
    expected = ([{"id": "a", "n": 1}, {"id": "b", "n": 2}], [1, 2])

    assert read(tmp_path / "t.parquet") == expected
    assert read(tmp_path / "t.zip") == expected


def test_quotes_newlines_and_a_byte_order_mark_are_understood(tmp_path: Path) -> None:
    """What spreadsheets write is read as meant."""
    (tmp_path / "t.csv").write_text('\ufeffid,n\r\n"a,\n""b""",é\r\n', encoding="utf-8")

    assert read(tmp_path / "t.csv")[0] == [{"id": 'a,\n"b"', "n": "é"}]


def test_rows_keep_their_numbers_around_broken_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines with too many or too few cells are set aside and do not shift the others' numbers."""
    monkeypatch.setattr(sources, "BLOCK_BYTES", 24)
    lines = [f"r{number},{number}" for number in range(2, 40)]
    lines[1], lines[20], lines[37] = "short", "far,too,long", "last"
    (tmp_path / "t.csv").write_text("id,n\n" + "\n".join(lines) + "\n")

    batches = list(read_batches(str(tmp_path / "t.csv")))

    assert len(batches) > 3
    bad = [each for batch in batches for each in batch.bad]
    assert [(each.row, each.text) for each in bad] == [
        (3, "short"),
        (22, "far,too,long"),
        (39, "last"),
    ]
    assert bad[1].why == "expected 2 columns, got 3"
    for batch in batches:
        if batch.frame.width:
            assert batch.frame["n"].cast(pl.Int64).to_list() == batch.rows.tolist()


def test_progress_reaches_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`done` grows to 1, whatever the packing."""
    monkeypatch.setattr(sources, "BLOCK_BYTES", 1 << 12)
    text = "id,n\n" + "".join(f"{number},{number * 7919}\n" for number in range(200_000))
    (tmp_path / "t.csv").write_text(text)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text.encode()))
    packed(tmp_path / "t.zip", {"t.csv": text.encode()})

    for name in ("t.csv", "t.csv.gz", "t.zip"):
        done = [batch.done for batch in read_batches(f"{tmp_path}/{name}")]
        assert done == sorted(done)
        assert 0 < done[0] < 1
        assert done[-1] == 1


def _damage(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / {"gz": "t.csv.gz", "zip": "t.zip", "parquet": "t.parquet"}[kind]
    body = "".join(f"{number},{number * 7919}\n" for number in range(20_000)).encode()
    if kind == "gz":
        path.write_bytes(gzip.compress(b"id,n\n" + body))
    elif kind == "zip":
        packed(path, {"t.csv": b"id,n\n" + body})
    else:
        pl.DataFrame({"id": range(1_000)}).write_parquet(path)
    return path


@pytest.mark.parametrize("kind", ["gz", "zip", "parquet"])
def test_a_truncated_file_is_named(tmp_path: Path, kind: str) -> None:
    """Half a file is an error about that file, wherever the cut lies."""
    path = _damage(tmp_path, kind)
    whole = path.read_bytes()

    for part in (len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:part])
        with pytest.raises(InputError, match=r"t\..*(damaged|cut short)"):
            read(path)


def test_flipped_bytes_in_a_zip_are_noticed(tmp_path: Path) -> None:
    """A member whose checksum does not hold is damaged."""
    path = _damage(tmp_path, "zip")
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    path.write_bytes(whole)

    with pytest.raises(InputError, match="damaged"):
        read(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "holds nothing"),
        ("t.csv", b"\n", "holds nothing"),
        ("t.csv", b"id,n\n", "holds no rows"),
        ("t.csv", b"id,id\n1,2\n", "names 'id' twice"),
        ("t.csv", b"id,n\nCh\xe2teau,1\n", "row 2: id: not utf-8"),
        (
            "t.csv",
            b"id,n\n" + b'"a\nb",1\n' * 20_000 + b"c,Ch\xe2teau\n",
            "row 20002: n: not utf-8: save it as",
        ),
        ("t.csv", b"id\na\n" + b"b,\xe2\n", "row 3: column 2: not utf-8"),
        ("t.csv", b"\xef\xbb\xbf", "holds nothing"),
        ("t.csv", b'\xd9\x0e\rX\x9b,"\r\x81\n\x00,\r', "not utf-8: save it as UTF-8"),
        ("t.csv.gz", b"id,n\na,1\n", "damaged"),
        ("t.zip", b"id,n\na,1\n", "damaged"),
        ("t.parquet", b"id,n\na,1\n", "no Parquet file"),
    ],
)
def test_files_that_are_not_what_they_seem(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    """The error names the file and what is wrong with it."""
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InputError, match=rf"{name}: .*{message}"):
        read(tmp_path / name)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    """No file, no rows."""
    with pytest.raises(InputError, match=r"gone\.csv: there is no such file"):
        read(tmp_path / "gone.csv")


def test_a_declared_encoding_is_used(tmp_path: Path) -> None:
    """Latin-1 is read where it is declared; an encoding nobody knows is refused."""
    (tmp_path / "t.csv").write_bytes("id,n\nChâteau,1\n".encode("latin-1"))

    assert read(tmp_path / "t.csv", "latin-1")[0] == [{"id": "Château", "n": "1"}]
    with pytest.raises(InputError, match="not klingon"):
        read(tmp_path / "t.csv", "klingon")


def test_lines_may_end_as_on_an_old_mac(tmp_path: Path) -> None:
    """A carriage return alone ends a line, the header's too."""
    (tmp_path / "t.csv").write_bytes(LINES.replace("\n", "\r").encode())

    assert read(tmp_path / "t.csv") == ([{"id": "a", "n": "1"}, {"id": "b", "n": None}], [2, 3])


@pytest.mark.parametrize("before", [0, 100])
def test_a_row_longer_than_a_block_is_named(tmp_path: Path, before: int) -> None:
    """What the row begins behind is told, and what to do."""
    rows = "short,1\n" * before + "a" * 2_500_000 + ",1\nb,2\n"
    (tmp_path / "t.csv").write_text("id,n\n" + rows)

    why = f"the row behind row {before + 1} has an open quote, or more than 1,048,576 bytes: close"
    with pytest.raises(InputError, match=rf"t\.csv: {why}"):
        read(tmp_path / "t.csv")


@pytest.mark.parametrize("value", ['"Alto,1', 'Alto,"1', '"Alto'])
@pytest.mark.parametrize("end", ["\n", "", "\r\n"])
def test_a_quote_that_is_left_open_is_named(tmp_path: Path, value: str, end: str) -> None:
    """All rows behind it would be one value of its row."""
    lines = ["id,n", "short,1", "a,b,c", "b,2", value, *["b,2"] * 1_000]
    (tmp_path / "t.csv").write_bytes(("\n".join(lines) + end).encode())

    with pytest.raises(InputError, match=r"t\.csv: row 5: a quote is left open"):
        read(tmp_path / "t.csv")


@pytest.mark.parametrize("value", ['5" pipe', '"5"" pipe"', '"Alto"', '""'])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_a_quote_that_opens_nothing_is_a_sign(tmp_path: Path, value: str, encoding: str) -> None:
    """In a value that does not begin with it, or doubled."""
    (tmp_path / "t.csv").write_bytes(f"id,n\na,1\nb,{value}".encode(encoding))

    rows, numbers = read(tmp_path / "t.csv", encoding)
    assert [row["n"] for row in rows] == ["1", value.strip('"').replace('""', '"') or None]
    assert numbers == [2, 3]


_READING = """
import sys
from features.errors import InputError
from features.ingest.sources import read_batches
batches = read_batches(sys.argv[1])
try:
    for _ in batches:
        if sys.argv[2] == "begun":
            batches.close()
except InputError as error:
    kept = error
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["begun", "read"])
def test_a_file_that_is_not_read_out_ends_the_process_in_peace(tmp_path: Path, how: str) -> None:
    """Arrow reads ahead in a thread, which no longer runs when the process ends: ten of ten."""
    path = tmp_path / "t.csv"
    rows = b"".join(b"%d,Chateau %d\n" % (n, n) for n in range(1_000_000))
    path.write_bytes(b"id,n\n" + rows.replace(b"Chateau 70000", b"Ch\xe2teau"))

    ends = [
        subprocess.run([sys.executable, "-c", _READING, str(path), how], check=False).returncode
        for _ in range(10)
    ]

    assert ends == [0] * 10
