"""A batch on its way in: rows that passed one by one, staged as Parquet beside the tables.

The commits come in an order that a repetition completes: items, events, users. A shopper who
was forgotten and is in a later event is back, and so is their record.
"""

import errno
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyarrow import parquet

from features.errors import InputError
from features.identity.forgotten import Forgotten
from features.identity.spared import events_spared, records_spared
from features.offline.batches import as_frame
from features.offline.known_events import KnownEvents
from features.offline.said import hashed
from features.offline.store import OfflineStore, Put, Written
from features.offline.tables import EVENTS, SCHEMAS

BATCH_ROWS = 100_000

ROW = "row"
"""A column beside those of the table: where each row stands in its file."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a batch does to the rows of a table."""

    before: int
    new: int
    changed: int
    """Rows that are there, and say something else now."""

    @property
    def after(self) -> int:
        """Return how many rows there are with it."""
        return self.before + self.new


@dataclass(frozen=True, slots=True)
class Committed:
    """What a batch brought: items and shoppers that are new or changed, and events.

    `forgotten` counts rows that were passed over: of shoppers who were forgotten since.
    """

    items: int
    users: int
    events: Written
    forgotten: int = 0


class StagedBatch:
    """The rows of a batch by table, one Parquet file each in `folder`."""

    def __init__(self, folder: Path) -> None:
        """Use what is staged in `folder`."""
        self.folder = folder
        self.known: KnownEvents | None = None
        """What the tables say of its events, as far as somebody looked."""

    def stage(self, table: str, frames: Iterable[pl.DataFrame]) -> None:
        """Write rows with the columns of `table` and `ROW`; no file is there if there are none."""
        schema = SCHEMAS[table].append(pa.field(ROW, pa.int64()))
        writer = None
        for frame in frames:
            writer = writer or parquet.ParquetWriter(self._path(table), schema)
            writer.write_table(frame.select(schema.names).to_arrow().cast(schema))
        if writer is not None:
            writer.close()

    def tables(self) -> dict[str, pl.LazyFrame]:
        """Return the rows of each table that has some."""
        paths = {table: self._path(table) for table in SCHEMAS}
        return {t: pl.scan_parquet(path, glob=False) for t, path in paths.items() if path.exists()}

    def effects(self, store: OfflineStore) -> dict[str, Effect]:
        """Return what `commit` would do, by table.

        Raises `InputError` where a file cannot be read.
        """
        staged = self.tables()
        try:
            return {table: _effect(table, staged.get(table), store) for table in SCHEMAS}
        except pl.exceptions.PolarsError as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"{self.folder}: cannot be read: {reason:.200}") from error

    def commit(self, store: OfflineStore) -> Committed:
        """Write everything into the tables; what is there already changes nothing.

        Raises `InputError` where a file of it cannot be read.
        """
        items = store.put_items(self._read("items")) if self._path("items").exists() else 0
        events = self._append(store) if self._path("events").exists() else Written(0, 0)
        users = store.put_users(self._read("users")) if self._path("users").exists() else Put(0)
        return Committed(items, users.changed, events, events.forgotten + users.forgotten)

    def _append(self, store: OfflineStore) -> Written:
        if self.known is None:
            self.known = store.known(hashed(self.tables()["events"]).ids)
        return store.append_events(_batches(self._path("events")), self.known)

    def _read(self, table: str) -> pa.Table:
        try:
            return parquet.read_table(self._path(table))
        except pa.ArrowException as error:
            raise InputError(f"{self._path(table)}: {str(error).partition(chr(10))[0]}") from error

    def digest(self) -> str:
        """Return the SHA-256 of all rows, in hex: the same files give the same."""
        told = sha256()
        for table in self.tables():
            told.update(table.encode())
            with self._path(table).open("rb") as file:
                told.update(file_digest(file, "sha256").digest())
        return told.hexdigest()

    def drop(self, table: str, rows: pl.Series) -> None:
        """Drop the rows of a table that stand there in its file."""
        self._keep(table, self.tables()[table].filter(~pl.col(ROW).is_in(rows.implode())))

    def spare(self, forgotten: Forgotten) -> None:
        """Drop the rows of shoppers who were forgotten since, and did nothing later in here."""
        tables = self.tables()
        events = tables.get("events")
        if not len(forgotten):
            return
        if events is not None:
            self._keep("events", events_spared(events, forgotten))
        if (users := tables.get("users")) is not None:
            later = events if events is not None else as_frame(EVENTS.empty_table()).lazy()
            self._keep("users", records_spared(users, forgotten, later))

    def forget(self, user_ids: Collection[str]) -> None:
        """Drop shoppers' rows; of a file that cannot be read all, since nobody could use it."""
        whose = pl.col("user_id").is_in(list(user_ids))
        for table in SCHEMAS:
            path = self._path(table)
            if "user_id" not in SCHEMAS[table].names or not path.exists():
                continue
            rows = pl.scan_parquet(path, glob=False)
            try:
                if len(rows.filter(whose).head(1).collect()):
                    self._keep(table, rows.filter(~whose))
            except pl.exceptions.PolarsError:
                path.unlink()
            except OSError:  # of a full disk nothing more goes than what is to go
                if _is_whole(path):
                    raise
                path.unlink()

    def _keep(self, table: str, kept: pl.LazyFrame) -> None:
        scratch = self._path(table).with_suffix(".dropping")
        try:
            kept.sink_parquet(scratch)
            scratch.replace(self._path(table))
        except pl.exceptions.PolarsError as error:  # of reading, or of a disk that is full
            reason = str(error).partition("\n")[0]
            told = f"cannot be written anew, is there room on the disk? {reason:.200}"
            raise OSError(errno.EIO, told, str(self._path(table))) from error
        finally:
            scratch.unlink(missing_ok=True)

    def _path(self, table: str) -> Path:
        return self.folder / f"{table}.parquet"


def _is_whole(path: Path) -> bool:
    """Tell whether all of a Parquet file can be read."""
    try:
        pl.scan_parquet(path, glob=False).select(pl.all().hash().sum()).collect(engine="streaming")
    except pl.exceptions.PolarsError:
        return False
    return True


def _effect(table: str, rows: pl.LazyFrame | None, store: OfflineStore) -> Effect:
    before = store.count(table)
    if rows is None:
        return Effect(before, 0, 0)
    names = SCHEMAS[table].names
    incoming, present = rows.select(names).unique(names[0], keep="last"), store.scan(table)
    new = _differing(incoming, present.select(names[0]))
    if table == "events":  # which never change
        return Effect(before, new, 0)
    return Effect(before, new, _differing(incoming, present.select(names)) - new)


def _differing(rows: pl.LazyFrame, known: pl.LazyFrame) -> int:
    """Return how many rows are not among those known, by the columns of these."""
    on = known.collect_schema().names()
    told = rows.join(known, on=on, how="anti", nulls_equal=True).select(pl.len())
    return int(told.collect(engine="streaming").item())


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with parquet.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=BATCH_ROWS)
