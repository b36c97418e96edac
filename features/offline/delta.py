"""The Delta tables of a home: what is read, written and deleted in them, now or as they were.

Delta gives atomic commits and time travel, and Spark or DuckDB read the tables as they are.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import TableNotFoundError

from features.errors import StoreError
from features.offline.batches import Batches, CountedBatches, as_frame, conformed, stream
from features.offline.last_change import NOTE, is_noted, last_change, note_of
from features.offline.tables import PARTITIONS, STORED

_AT_ONCE = 200
"""Conditions of one deletion."""

_LOG_KEPT = "delta.logRetentionDuration"


class DeltaTables:
    """The tables below `root`, by name. Whoever writes holds their lock.

    What goes wrong is told in the libraries' words: see `translated`.
    """

    def __init__(self, root: Path, versions: Mapping[str, int | None] | None = None) -> None:
        """Use what is below `root`; each table as it was in one of `versions`, None for not at all.

        Nothing is read or created yet.
        """
        self.root = root
        self._versions = versions or {}

    def scan(self, name: str, since: date = date.min, until: date = date.max) -> pl.LazyFrame:
        """Return the rows of a table, none where it is not there.

        Of one in partitions those of the days `since` to `until`, without the column of the day.
        What a file was written before has null.
        """
        paths = self.paths(name, since, until)
        empty = as_frame(STORED[name].empty_table()).drop(PARTITIONS.get(name, ()))
        if not paths:
            return empty.lazy()
        return pl.scan_parquet(paths, glob=False, schema=empty.schema, missing_columns="insert")

    def paths(self, name: str, since: date = date.min, until: date = date.max) -> list[Path]:
        """Return the files of a table; delta-rs tells them as urls, polars wants paths.

        Of one in partitions those of the days `since` to `until`.
        """
        table = self._table(name)
        if table is None:
            return []
        files = _actions_of(table)
        if name in PARTITIONS:
            files = files.filter(pl.col(f"partition.{PARTITIONS[name]}").is_between(since, until))
        return [self.root / name / str(path) for path in files["path"]]

    def count(self, name: str) -> int:
        """Return the number of rows of a table."""
        table = self._table(name)
        return 0 if table is None else int(table.count())

    def version(self, name: str) -> int | None:
        """Return the version of a table, None where it is not there."""
        table = self._table(name)
        return None if table is None else table.version()

    def last_change(self, name: str) -> int | None:
        """Return the version of a table that changed its rows last, None where it is not there."""
        table = self._table(name)
        return None if table is None else last_change(table, self.root / name)

    def id(self, name: str) -> str | None:
        """Return what tells a table from those of other homes, None where it is not there."""
        table = self._table(name)
        return None if table is None else str(table.metadata().id)

    def files(self, names: Iterable[str]) -> list[tuple[str, int, list[tuple[str, int]]]]:
        """Return of each of these tables that is there its name, version, and files with sizes."""
        tables = {name: self._table(name) for name in names}
        return [
            (name, table.version(), _files_of(table))
            for name, table in tables.items()
            if table is not None
        ]

    def append(self, name: str, batches: Batches, number: int | None = None) -> None:
        """Add rows to a table in one commit; none are no commit.

        A table of before gets the columns that came since. The commit notes `number`, if that is
        given: see `number`.
        """
        source = CountedBatches(stream(batches))
        if not source.is_exhausted():
            self._write(name, source, "append", number)

    def number(self, name: str) -> int:
        """Return the number that the latest numbered commit of a table noted, 0 for none."""
        table = self._table(name)
        return 0 if table is None else table.transaction_version(name) or 0

    def overwrite(self, name: str, batches: Batches) -> int:
        """Make these the only rows of a table, in one commit, and return how many they are."""
        source = CountedBatches(stream(batches))
        self._write(name, source, "overwrite")
        return source.rows

    def delete(self, name: str, which: Sequence[str]) -> int:
        """Delete the rows that meet one of some conditions, many of these at a time; count them.

        A table that changed gets a checkpoint, so that `tidy` can drop what was before.
        """
        table = self._table(name)
        if table is None:
            return 0
        deleted = 0
        for begin in range(0, len(which), _AT_ONCE):
            told = " OR ".join(f"({each})" for each in which[begin : begin + _AT_ONCE])
            deleted += int(table.delete(told).get("num_deleted_rows") or 0)
        if deleted:
            table.create_checkpoint()
        return deleted

    def delete_days(self, name: str, kept: timedelta, today: date) -> None:
        """Delete the days of a table in partitions but for those `kept` up to the latest.

        That is one of the table's, and not after `today`: a clock that is ahead deletes nothing.
        """
        table = self._table(name)
        if table is None:
            return
        column = PARTITIONS[name]
        days = _actions_of(table)[f"partition.{column}"].to_list()
        first = min(max(days, default=today), today) - kept
        if any(day < first for day in days):
            table.delete(f"{column} < CAST('{first.isoformat()}' AS DATE)")
            table.create_checkpoint()

    def clear(self, name: str) -> None:
        """Delete all rows of a table, if it is there."""
        if (table := self._table(name)) is not None:
            table.delete()

    def tidy(self, retention: timedelta) -> int:
        """Merge small files, remove those no version of the last `retention` uses; count these.

        What the logs of the tables tell of versions before goes as well.
        """
        removed = 0
        for name in STORED:
            table = self._table(name)
            if table is None:
                continue
            table.optimize.compact()
            hours = int(retention.total_seconds() // 3_600)
            removed += len(
                table.vacuum(hours, dry_run=False, enforce_retention_duration=False, full=True)
            )
            _shorten_log(table, self.root / name, hours)
        return removed

    def _table(self, name: str) -> DeltaTable | None:
        path = self.root / name
        if not (path / "_delta_log").is_dir():
            return None
        if name not in self._versions:
            return _latest(path)
        version = self._versions[name]
        return None if version is None else _earlier(path, version)

    def _write(
        self,
        name: str,
        source: CountedBatches,
        mode: Literal["append", "overwrite"],
        number: int | None = None,
    ) -> None:
        noted = None if number is None else [Transaction(name, number)]
        reader = pa.RecordBatchReader.from_batches(STORED[name], conformed(STORED[name], source))
        try:
            write_deltalake(
                self.root / name,
                reader,
                mode=mode,
                schema_mode="merge" if mode == "append" else None,
                partition_by=PARTITIONS.get(name),
                commit_properties=CommitProperties(app_transactions=noted),
            )
        except Exception:  # of no class of its own, in some versions
            if source.error is not None:  # delta-rs words it as its own
                raise source.error from None
            raise


def _files_of(table: DeltaTable) -> list[tuple[str, int]]:
    added = _actions_of(table).select("path", "size_bytes")
    return [(str(path), int(size)) for path, size in added.rows()]


def _actions_of(table: DeltaTable) -> pl.DataFrame:
    return pl.DataFrame(table.get_add_actions(flatten=True))


def _shorten_log(table: DeltaTable, path: Path, hours: int) -> None:
    """Remove what the log tells of versions before the last checkpoint that is so old.

    It holds the least and the greatest id of every file there was. What changed last stays noted.
    """
    kept = f"interval {hours} hours"
    is_kept = table.metadata().configuration.get(_LOG_KEPT) == kept
    if not (is_kept and is_noted(table, path)):
        told = {_LOG_KEPT: kept, NOTE: note_of(table, path)}
        table.alter.set_table_properties(told, raise_if_not_exists=False)
    table.create_checkpoint()
    table.cleanup_metadata()


def _latest(path: Path) -> DeltaTable | None:
    """Return a table, None where its first commit is under way, or its writer was killed in it."""
    try:
        return DeltaTable(path)
    except TableNotFoundError:
        return None


def _earlier(path: Path, version: int) -> DeltaTable:
    try:
        return DeltaTable(path, version=version)
    except TableNotFoundError:
        told = f"version {version} of {path.name} is not there any more: `tidy` removed it"
        raise StoreError(f"offline store: {told}") from None
