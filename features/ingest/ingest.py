"""Taking the user's files in: all rows checked and staged first, then written, one commit a table.

    file ─ batches ─ conform ─┬─ good: staged beside the tables ─ judged ─┬─ commit
                              └─ refused: named, up to a limit           └─ quarantine

Until every row of every file has been seen nothing is written; the same files again change
nothing. A batch that breaks the rules of data quality is held back whole.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from features.errors import InputError, StoreError
from features.ingest.attribute_kinds import kinds_so_far
from features.ingest.columns_used import ATTRIBUTE, ColumnsUsed
from features.ingest.conflicts import drop_conflicts
from features.ingest.conform import Conformer
from features.ingest.mapping import AttributeKind, Column, TableMapping
from features.ingest.parsing import no_number, not_finite, recognised
from features.ingest.row_rules import FINITE
from features.ingest.sources import read_batches
from features.lock import locked
from features.offline.staged import Committed, StagedBatch
from features.offline.store import OfflineStore
from features.offline.tables import SCHEMAS, STAGED
from features.progress import progress
from features.quality.gatekeeper import Gatekeeper
from features.quality.refusals import Refusal, Refusals, RefusedError
from features.scratch import scratch_folder

_MISSED = {"items": "price", "events": "value", "users": "country"}
_NUMBER = "expected a number, as this attribute has been so far: declare kind: text to change that"
FILE_ENDINGS = (".csv", ".csv.gz", ".parquet", ".zip")
"""What a table's file in a data directory may end with."""


@dataclass(frozen=True, slots=True)
class Input:
    """One file and how to read it."""

    file: str
    mapping: TableMapping


@dataclass(frozen=True, slots=True)
class Ingested:
    """What came of it: what is new in the tables, and the rows that were refused."""

    committed: Committed
    refused: tuple[Refusal, ...]
    absent: tuple[tuple[str, str], ...]
    """Tables, and columns of theirs that most have, which these files have not."""

    columns: tuple[ColumnsUsed, ...] = ()


def ingest(
    home: Path, inputs: Mapping[str, Input], gatekeeper: Gatekeeper, *, max_refused: int = 100
) -> Ingested:
    """Take in the files of `inputs` (by table: items, events, users).

    Raises `InputError` where a file cannot be used, `RefusedError` where more than `max_refused`
    rows, or all of a file, break the rules of a row, and `QuarantinedError` where all together
    break those of the batch; in each case nothing has been written to the tables.
    """
    refusals = Refusals(max_refused)
    items, of_items = _whole("items", inputs, refusals, home)
    users, of_users = _whole("users", inputs, refusals, home)
    used = [*of_items, *of_users]
    with _staging(home) as folder:
        batch = StagedBatch(folder)
        batch.stage("items", [items] if len(items) else [])
        batch.stage("users", [users] if len(users) else [])
        if "events" in inputs:
            store, source = OfflineStore(home), inputs["events"]
            ids = pl.concat((store.item_ids(), items["item_id"].cast(pl.String))).unique()
            conformer = Conformer("events", source.file, source.mapping, ids)
            batch.stage("events", _events(conformer, source, refusals, used))
            refusals.add(drop_conflicts(batch, store, source.file, refusals.room))
        _refuse_empty(inputs, batch, refusals)
        files = ", ".join(each.file for each in inputs.values())
        told, absent = refusals.all(), tuple(_absent(used))
        return Ingested(gatekeeper.batch(batch, files, told), told, absent, tuple(used))


def _absent(used: Iterable[ColumnsUsed]) -> Iterator[tuple[str, str]]:
    """Yield what would be missed: a misspelt column that may be left out is no error."""
    for each in used:
        if _MISSED[each.table] not in each.targets:
            yield each.table, _MISSED[each.table]


def _refuse_empty(inputs: Mapping[str, Input], batch: StagedBatch, refusals: Refusals) -> None:
    """Raise where a file has no good row at all: that is no matter of some bad rows."""
    taken = batch.tables()
    for table, source in inputs.items():
        if table not in taken or taken[table].head(1).collect().is_empty():
            raise RefusedError(f"{source.file}: none of its rows can be taken", refusals.all())


def find_inputs(
    folder: Path | None, mapping: Mapping[str, TableMapping], files: Mapping[str, str]
) -> dict[str, Input]:
    """Return the input of each table: named in `files`, by the mapping, or lying in `folder`.

    The mapping's files are relative to `folder`. Raises `InputError` where there is none at all.
    """
    found = {}
    for table in SCHEMAS:
        declared = mapping.get(table, TableMapping())
        named = files.get(table)
        if named is None and declared.file is not None:
            named = str((folder or Path()) / declared.file)
        if named is None and folder is not None:
            named = _lying_in(folder, table)
        if named is not None:
            found[table] = Input(named, declared)
    if not found:
        endings = ", ".join(FILE_ENDINGS)
        if folder is None:
            wanted = f"--items, --events or --users FILE ({endings}), or --data DIRECTORY"
            raise InputError(f"no file is named: expected {wanted}")
        raise InputError(
            f"{folder} holds no items, events or users: expected files of these names ({endings}), "
            "or a mapping that names others (--mapping, with make MAPPING=FILE)"
        )
    return found


def _lying_in(folder: Path, table: str) -> str | None:
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such directory")
    paths = [folder / f"{table}{ending}" for ending in FILE_ENDINGS]
    present = [str(path) for path in paths if path.exists()]
    if len(present) > 1:
        raise InputError(f"{' and '.join(present)}: which one? name it with --{table}")
    if present and Path(present[0]).is_dir():  # as Spark writes them
        raise InputError(f"{present[0]}: is a directory: name a file in it with --{table}")
    return present[0] if present else None


@contextmanager
def _staging(home: Path) -> Iterator[Path]:
    """Give a folder for a batch, one at a time."""
    root = home / "offline"
    try:
        with locked(root, ".ingest.lock"), scratch_folder(root, STAGED) as folder:
            yield folder
    except OSError as error:
        raise StoreError(f"offline store: {home}: {error.strerror}") from error


def _good_rows(
    conformer: Conformer, source: Input, refusals: Refusals, used: list[ColumnsUsed]
) -> Iterator[pl.DataFrame]:
    """Yield the good rows of a file, batch by batch, and tell which columns are `used`."""
    batches = read_batches(
        source.file, delimiter=source.mapping.delimiter, encoding=source.mapping.encoding
    )
    with progress(f"reading {_short(source.file)}", 1.0) as bar, closing(batches):
        done = 0.0
        for batch in batches:
            conformed = conformer(batch, refusals.room)
            if not done and batch.frame.width:
                used.append(conformer.used(batch.frame))
            refusals.add(conformed.refused)
            bar.advance(batch.done - done)
            done = batch.done
            if len(conformed.frame):
                yield conformed.frame


def _short(name: str) -> str:
    """Return what a file, or the member of one, is called: a terminal is narrow."""
    return Path(name.rpartition("!")[2]).name


def _whole(
    table: str, inputs: Mapping[str, Input], refusals: Refusals, home: Path
) -> tuple[pl.DataFrame, list[ColumnsUsed]]:
    """Return all good rows of items or users: an attribute's kind shows in all its values only."""
    empty = pl.DataFrame(schema=dict.fromkeys(SCHEMAS[table].names, pl.String))
    if table not in inputs:
        return empty, []
    source, used = inputs[table], list[ColumnsUsed]()
    conformer = Conformer(table, source.file, source.mapping)
    frames = list(_good_rows(conformer, source, refusals, used))
    if not frames:
        return empty, used
    rows = pl.concat(frames, how="vertical_relaxed")
    key = SCHEMAS[table].names[0]
    again = ~rows[key].is_first_distinct()
    refusals.add(
        Refusal(source.file, row, key, value, "this id stands in an earlier row")
        for row, value in rows.filter(again).select("row", key).head(refusals.room).rows()
    )
    rows = rows.filter(~again)
    columns, numbers = _as_so_far(rows, source, OfflineStore(home).scan(table))
    rows = rows.filter(~_odd(rows, columns, not_finite, FINITE, source.file, refusals))
    before = {n: c for n, c in columns.items() if n in numbers and _is_text(rows[n], c)}
    rows = rows.filter(~_odd(rows, before, no_number, _NUMBER, source.file, refusals))
    good = rows.with_columns(recognised(rows[name], column) for name, column in columns.items())
    numbers = {name for name, dtype in good.schema.items() if dtype == pl.Float64}
    return _with_json(good, "attributes"), [each.with_kinds(numbers) for each in used]


def _as_so_far(
    rows: pl.DataFrame, source: Input, before: pl.LazyFrame
) -> tuple[dict[str, Column], set[str]]:
    """Return how to read the columns of attributes, and which have been numbers in `before`.

    Where one has been a text, digits are one too. Raises `InputError` where numbers by the file's
    own types come instead. An attribute with a declared kind is what that says.
    """
    columns = dict(_attributes(rows, source.mapping))
    open_ = [name for name, column in columns.items() if column.kind is None]
    kinds = kinds_so_far(before, [name.removeprefix(ATTRIBUTE) for name in open_])
    numbers = set()
    for name in open_:
        kind = kinds.get(name.removeprefix(ATTRIBUTE))
        if kind is AttributeKind.NUMBER:
            numbers.add(name)
        elif kind is AttributeKind.TEXT:
            _refuse_numbers(rows.select("row", name).drop_nulls(), columns[name], source.file)
            columns[name] = replace(columns[name], kind=kind)
    return columns, numbers


def _refuse_numbers(values: pl.DataFrame, column: Column, file: str) -> None:
    name, dtype = values.columns[1], values.dtypes[1]
    if len(values) and (dtype.is_numeric() or dtype == pl.Boolean):
        row, value = values.row(0)
        raise InputError(
            f"{file}: row {row}: {column.column or name.removeprefix(ATTRIBUTE)}: expected a text, "
            f"as this attribute has been so far, got {value!r}: declare its kind, text or number"
        )


def _is_text(values: pl.Series, column: Column) -> bool:
    return recognised(values, column).dtype == pl.String


def _odd(
    rows: pl.DataFrame,
    columns: Mapping[str, Column],
    is_odd: Callable[[pl.Series, Column], pl.Series],
    why: str,
    file: str,
    refusals: Refusals,
) -> pl.Series:
    """Tell which rows have an odd value in one of `columns`, and refuse them."""
    bad = pl.repeat(value=False, n=len(rows), eager=True)
    for name, column in columns.items():
        odd = is_odd(rows[name], column) & ~bad
        told = column.column or name.removeprefix(ATTRIBUTE)
        refusals.add(
            Refusal(file, row, told, str(value), why)
            for row, value in rows.filter(odd).select("row", name).head(refusals.room).rows()
        )
        bad |= odd
    return bad


def _attributes(rows: pl.DataFrame, mapping: TableMapping) -> list[tuple[str, Column]]:
    """Return the columns of attributes, each with how it is declared."""
    plain, declared = Column(decimal=mapping.decimal), mapping.attributes or {}
    return [
        (name, declared.get(name.removeprefix(ATTRIBUTE), plain))
        for name in rows.columns
        if name.startswith(ATTRIBUTE)
    ]


def _with_json(rows: pl.DataFrame, target: str) -> pl.DataFrame:
    """Return the rows with their attribute columns as one JSON object in column `target`."""
    names = [name for name in rows.columns if name.startswith(ATTRIBUTE)]
    if not names:
        return rows if target in rows.columns else rows.with_columns(_no_text(target))
    named = rows.select(pl.col(name).alias(name.removeprefix(ATTRIBUTE)) for name in names)
    packed = named.select(pl.struct(pl.all()).struct.json_encode().alias(target))
    return rows.drop(names).with_columns(packed)


def _no_text(name: str) -> pl.Expr:
    return pl.lit(None, pl.String).alias(name)


def _events(
    conformer: Conformer, source: Input, refusals: Refusals, used: list[ColumnsUsed]
) -> Iterator[pl.DataFrame]:
    for rows in _good_rows(conformer, source, refusals, used):
        whole = _with_json(rows, "context")
        yield whole.with_columns(arrived_at=pl.col("timestamp"))
