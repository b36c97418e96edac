"""Reading the user's files in batches: CSV (plain, gzip, or inside a zip) and Parquet.

`archive.zip!member.csv` names a file inside a zip. CSV columns come as text; Parquet columns
keep their types. Row numbers are those a spreadsheet shows: a CSV's header is row 1 and its
first data row is row 2; a Parquet file has no header, so its first row is row 1.
"""

import codecs
import csv
import gzip
import io
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from features.errors import InputError
from features.offline.batches import as_frame

BLOCK_BYTES = 1 << 20
"""Bytes of CSV parsed at a time; Arrow reads up to 32 such blocks ahead."""

BATCH_ROWS = 100_000
"""Rows of Parquet read at a time."""

_LAST_READ_S, _LEAVING_S = 0.1, 0.02
"""How long Arrow's thread may take to ask for a next block, and to leave Python after that."""

_END = "cuvee.end"
"""Begins a line of too many columns that is put behind a CSV: an open quote swallows it."""

_OTHER_DELIMITERS = ";\t|,"
_UTF_8 = "save it as UTF-8, or declare its encoding in the mapping"

_MARK, _MARKED = "\udcff", "cuvee.marked"
"""What stands for bytes that are no character, and the name of the way of decoding that puts it."""

codecs.register_error(_MARKED, lambda error: (_MARK, error.end))  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line that is no row: it has too few or too many columns."""

    row: int
    text: str
    why: str


@dataclass(frozen=True, slots=True)
class FileBatch:
    """Some rows of a file: the frame, each row's number, and how far through the file they end."""

    frame: pl.DataFrame
    rows: npt.NDArray[np.int64]
    done: float
    bad: list[BadRow] = field(default_factory=list)


def read_batches(
    name: str, *, delimiter: str = ",", encoding: str = "utf-8"
) -> Generator[FileBatch, None, None]:
    """Yield the rows of the file `name`, in order, in bounded memory; close what is not read out.

    Raises `InputError`, naming the file, where it is absent, truncated, empty or not what its
    name says. A file with a header but no rows counts as empty.
    """
    with ExitStack() as stack, _explained(name, delimiter, encoding):
        opened = stack.enter_context(_open(name))
        batches = (
            _parquet_batches(opened)
            if opened.name.endswith((".parquet", ".pq"))
            else _csv_batches(opened, delimiter, encoding)
        )
        stack.enter_context(closing(batches))
        total = 0
        for batch in batches:
            total += len(batch.rows) + len(batch.bad)
            yield batch
        if not total:
            raise InputError(f"{name}: holds no rows")


@dataclass(frozen=True, slots=True)
class _Opened:
    name: str
    file: IO[bytes]
    done: Callable[[], float]


@contextmanager
def _open(name: str) -> Iterator[_Opened]:
    path, bang, member = name.partition("!")
    size = max(Path(path).stat().st_size, 1)
    if bang or path.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            info = _member(archive, member, path)
            with archive.open(info) as file:
                yield _Opened(info.filename, file, lambda: file.tell() / max(info.file_size, 1))
        return
    with Path(path).open("rb") as raw:
        if path.endswith(".gz"):
            with gzip.open(raw) as unpacked:
                yield _Opened(path[:-3], io.BufferedReader(unpacked), lambda: raw.tell() / size)
        else:
            yield _Opened(path, raw, lambda: raw.tell() / size)


def _member(archive: zipfile.ZipFile, member: str, path: str) -> zipfile.ZipInfo:
    files = [each for each in archive.namelist() if not each.endswith("/")]
    if not member and len(files) == 1:
        return archive.getinfo(files[0])
    if member in files:
        return archive.getinfo(member)
    listed = ", ".join(files[:10])
    asked = f"no member {member!r}" if member else "no member named"
    raise InputError(f"{path}: {asked}; write {path}!MEMBER with one of {listed}")


def _parquet_batches(opened: _Opened) -> Generator[FileBatch, None, None]:
    # a member of a zip cannot seek backwards cheaply, and Parquet is read from its end
    seekable = opened.file if isinstance(opened.file, io.BufferedReader) else None
    file = parquet.ParquetFile(seekable or pa.BufferReader(opened.file.read()))
    start, total = 1, file.metadata.num_rows
    for batch in file.iter_batches(batch_size=BATCH_ROWS):
        rows = np.arange(start, start + batch.num_rows)
        start += batch.num_rows
        yield FileBatch(as_frame(pa.Table.from_batches([batch])), rows, (start - 1) / total)


def _csv_batches(
    opened: _Opened, delimiter: str, encoding: str
) -> Generator[FileBatch, None, None]:
    head = _Replayed(opened)
    names = _header(head.head, delimiter, encoding)
    head.end_with(f"\n{_END}{delimiter * len(names)}\n", encoding)
    try:
        yield from _parsed(head, names, delimiter, encoding)
    finally:  # also where it was read to its end: the process may end next
        head.stop()


def _parsed(
    head: "_Replayed", names: list[str], delimiter: str, encoding: str
) -> Generator[FileBatch, None, None]:
    bad: list[BadRow] = []

    def remember(row: arrow_csv.InvalidRow) -> str:
        if row.text.startswith(_END):
            head.is_whole = True
            return "skip"
        why = f"expected {row.expected_columns} columns, got {row.actual_columns}"
        bad.append(BadRow(row.number, row.text, why))
        return "skip"

    with _long_rows_explained(1):
        reader = arrow_csv.open_csv(
            head,
            # one thread: only then are the numbers of bad rows known
            arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, encoding=encoding),
            arrow_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=remember
            ),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
    yield from _numbered(reader, bad, head)


def _numbered(
    reader: arrow_csv.CSVStreamingReader, bad: list[BadRow], head: "_Replayed"
) -> Iterator[FileBatch]:
    skipped: list[int] = []
    kept, told = 0, 0
    while (batch := _next(reader, kept + len(bad) + 1)) is not None:
        new = bad[told:]  # once: Arrow reads ahead and may add to them meanwhile
        told += len(new)
        skipped.extend(each.row for each in new)
        rows = np.arange(kept + 2, kept + 2 + batch.num_rows)
        for row in skipped:
            rows[rows >= row] += 1
        kept += batch.num_rows
        frame = as_frame(pa.Table.from_batches([batch]))
        yield FileBatch(frame, rows, head.done, new)
    if not head.is_whole:
        last = kept + len(bad) + 1
        raise InputError(f"row {last}: a quote is left open: close it, all behind it is in it")
    if bad[told:]:
        yield FileBatch(pl.DataFrame(), np.empty(0, np.int64), 1.0, bad[told:])


def _next(reader: arrow_csv.CSVStreamingReader, row: int) -> pa.RecordBatch | None:
    with _long_rows_explained(row):
        return next(reader, None)


@contextmanager
def _long_rows_explained(row: int) -> Iterator[None]:
    """Say which row is longer than a block: the one behind `row`."""
    try:
        yield
    except pa.ArrowInvalid as error:
        if "straddl" not in str(error):
            raise
        raise InputError(
            f"the row behind row {row} has an open quote, or more than {BLOCK_BYTES:,} bytes: "
            "close the quote, or shorten the row"
        ) from None


class _Replayed(io.RawIOBase):
    """A stream whose first bytes were looked at and are read again; it knows how far it came.

    Arrow reads it ahead in a thread of its own, which `stop` waits for: a thread that comes back
    into Python while the process ends aborts it.
    """

    def __init__(self, opened: _Opened) -> None:
        self.head = opened.file.read(1 << 16)
        self.done = 0.0
        self.is_whole = True
        """Every quote that was opened is closed, as far as one can tell."""
        self._rest = io.BytesIO(self.head)
        self._end = io.BytesIO()
        self._opened = opened
        self._reading = threading.Lock()
        self._stopped = False
        self._ended = threading.Event()

    def end_with(self, line: str, encoding: str) -> None:
        """Put a line behind the last, which tells that the stream is whole by being seen.

        Encodings that do not hold ASCII as it is have none.
        """
        if line.encode(encoding) == line.encode("ascii"):
            self._end = io.BytesIO(line.encode(encoding))
            self.is_whole = False

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        with self._reading:
            read = b"" if self._stopped else self._read(-1 if size is None else size)
        if not read:
            self._ended.set()
        return read

    def stop(self) -> None:
        """End the stream here, and return once nobody reads it."""
        with self._reading:
            self._stopped = True
        self._ended.wait(_LAST_READ_S)
        time.sleep(_LEAVING_S)

    def _read(self, size: int) -> bytes:
        read = self._rest.read(size) or self._opened.file.read(size) or self._end.read(size)
        self.done = min(self._opened.done(), 1.0)  # here: only Arrow's thread may ask the file
        return read


def _header(head: bytes, delimiter: str, encoding: str) -> list[str]:
    if not head.strip():
        raise InputError("holds nothing")
    decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf-8" else encoding)()
    text = decoder.decode(head)  # a character may be cut in two at the end
    names = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), None)
    if names is None:
        raise InputError("holds nothing")
    others = [sign for sign in _OTHER_DELIMITERS if len(names) == 1 and sign in names[0]]
    if others:
        raise InputError(
            f"its header is one column, {names[0]!r:.60}: where {others[0]!r} stands between "
            f"columns, declare delimiter: {others[0]!r} in the mapping (labels need commas)"
        )
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InputError(f"the header names {doubled[0]!r} twice")
    return names


@contextmanager
def _explained(name: str, delimiter: str, encoding: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(
            str(error) if str(error).startswith(name) else f"{name}: {error}"
        ) from None
    except FileNotFoundError:
        raise InputError(f"{name}: there is no such file") from None
    except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile) as error:
        raise InputError(f"{name}: damaged or cut short: {error}") from None
    except UnicodeError:
        raise InputError(_undecodable(name, delimiter, encoding)) from None
    except LookupError as error:
        raise InputError(f"{name}: not {encoding}: {error}") from None
    except pa.ArrowException as error:
        if "invalid UTF8" in str(error):
            raise InputError(_undecodable(name, delimiter, encoding)) from None
        raise InputError(f"{name}: {_in_plain_words(str(error))}") from None
    except OSError as error:
        reason = error.strerror or f"damaged? {str(error).partition(chr(10))[0]}"
        raise InputError(f"{name}: cannot be read: {reason}") from None


def _undecodable(name: str, delimiter: str, encoding: str) -> str:
    """Return which field of a CSV is the first that is not of its encoding; Arrow does not tell."""
    place = ""
    with suppress(OSError, ValueError, csv.Error), _open(name) as opened:
        text = io.TextIOWrapper(opened.file, encoding, errors=_MARKED, newline="")
        reader = csv.reader(text, delimiter=delimiter)
        names = next(reader)
        for number, row in enumerate(reader, 2):
            bad = [column for column, field in enumerate(row) if _MARK in field]
            if bad:
                column = names[bad[0]] if bad[0] < len(names) else f"column {bad[0] + 1}"
                place = f"row {number}: {column}: "
                break
    return f"{name}: {place}not {encoding}: {_UTF_8}"


def _in_plain_words(message: str) -> str:
    if "Parquet" in message or "parquet" in message:
        return f"damaged, cut short, or no Parquet file: {message.splitlines()[0]}"
    return message.splitlines()[0]
