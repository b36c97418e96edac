"""All rows of tables in place of those before, where the commit of the events decides.

    others ─ staged beside the tables ─ events: ONE commit ─ others ─ what was staged goes

Whoever is stopped before that commit leaves everything as it was; where that was after it, what
stands beside is written by whoever opens the store or writes next. Rows of shoppers who were
forgotten since are passed over.
"""

from collections.abc import Mapping
from pathlib import Path

from pyarrow import parquet

from features.offline.batches import Batches, stream
from features.offline.delta import DeltaTables
from features.offline.spared_rows import SparedRows
from features.offline.tables import CHANGES, SCHEMAS, SERVED, STAGED
from features.scratch import scratch_folder

_BEFORE = "version of events before"


class Replacement:
    """Replaces the rows of tables, for whoever holds their lock."""

    def __init__(self, tables: DeltaTables, spared: SparedRows) -> None:
        """Look at nothing yet; `spared` are the rows that are written."""
        self._tables = tables
        self._spared = spared
        self._folder = tables.root / ".replacing"

    def is_pending(self) -> bool:
        """Tell whether somebody was stopped in it, or is at it now."""
        return self._folder.exists()

    def replace(self, table: str, batches: Batches) -> int:
        """Make these the only rows of `table`, in one commit, and return how many they are."""
        rows = self._tables.overwrite(table, self._spared.of(table, stream(batches)))
        if table == "users":
            self._tables.clear(CHANGES)
        if table == "events":  # what becomes of lists stands in these
            self._tables.clear(SERVED)
        return rows

    def replace_all(self, events: Batches, others: Mapping[str, Batches]) -> int:
        """Make these the only rows of all tables, and return how many events they are."""
        self._stage(others)
        try:
            return self.replace("events", events)
        finally:
            self.end()

    def end(self) -> None:
        """Write what stands beside replaced events; forget it where the events are as before."""
        folder = self._folder
        if self._events_version() != int((folder / _BEFORE).read_text()):
            for table in SCHEMAS:
                if _staged(folder, table).exists():
                    with parquet.ParquetFile(_staged(folder, table)) as file:
                        self.replace(table, file.iter_batches())
        with scratch_folder(self._tables.root, STAGED) as going:
            folder.rename(going / folder.name)

    def _stage(self, others: Mapping[str, Batches]) -> None:
        with scratch_folder(self._tables.root, STAGED) as scratch:
            for table, batches in others.items():
                with parquet.ParquetWriter(_staged(scratch, table), SCHEMAS[table]) as writer:
                    for batch in stream(batches):
                        writer.write_batch(batch)
            (scratch / _BEFORE).write_text(str(self._events_version()))
            scratch.rename(self._folder)

    def _events_version(self) -> int:
        version = self._tables.version("events")
        return -1 if version is None else version


def _staged(folder: Path, table: str) -> Path:
    return folder / f"{table}.parquet"
