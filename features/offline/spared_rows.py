"""Rows on their way into the tables, without those of shoppers who were forgotten after them."""

import time
from collections.abc import Collection, Iterator
from functools import cache

import polars as pl
import pyarrow as pa

from features.identity.forgotten import ForgottenList
from features.identity.merges import Merges, concerning
from features.identity.spared import Spared, records_spared
from features.offline.batches import as_frame
from features.offline.delta import DeltaTables
from features.offline.tables import MERGES
from features.offline.translated import collected


class SparedRows:
    """Passes over rows of the forgotten, for whoever holds the lock of the tables.

    No table can be opened while one is written: what is asked of others is opened before.
    """

    def __init__(self, tables: DeltaTables, forgotten: ForgottenList) -> None:
        """Look at nothing yet."""
        self._tables = tables
        self._forgotten = forgotten

    def of(self, table: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Return what stays of rows of `table`; records go by the events there are."""
        if table == "events":
            return iter(self.events(batches))
        return self._users(batches) if table == "users" else batches

    def events(self, batches: Iterator[pa.RecordBatch]) -> Spared:
        """Return what stays of events, under whom they are by the merges there are."""
        return self._stamped(batches, "arrived_at")

    def lists(self, batches: Iterator[pa.RecordBatch]) -> Spared:
        """Return what stays of lists that were served, as of events.

        None of who was forgotten that is of later than now: its clock was ahead.
        """
        return self._stamped(batches, "served_at", int(time.time() * 1_000))

    def _stamped(
        self, batches: Iterator[pa.RecordBatch], stamp: str, now_ms: int | None = None
    ) -> Spared:
        forgotten, merged = self._forgotten.read(), self._tables.scan(MERGES)
        rows = cache(lambda: collected(merged))
        return Spared(batches, forgotten, lambda users: merges_of(rows(), users), stamp, now_ms)

    def _users(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        forgotten, events = self._forgotten.read(), self._tables.scan("events")
        for_each = (as_frame(pa.Table.from_batches([batch])) for batch in batches)
        spared = (records_spared(rows, forgotten, events) for rows in for_each)
        return (batch for rows in spared for batch in rows.to_arrow().to_batches())


def merges_of(rows: pl.DataFrame, user_ids: Collection[str] | None = None) -> Merges:
    """Return who was merged into whom, of rows of table `merges`; at least of some shoppers."""
    if user_ids is not None:
        rows = concerning(rows, user_ids)
    return Merges(rows.with_columns(pl.col("at").dt.epoch("ms")).rows())
