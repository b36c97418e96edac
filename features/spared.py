"""Rows without those of shoppers who were forgotten after them."""

from collections.abc import Iterator
from typing import TypeVar

import polars as pl
import pyarrow as pa

from features.forgotten import Forgotten

USER_ID, ARRIVED_AT = "user_id", "arrived_at"

Rows = TypeVar("Rows", pl.DataFrame, pl.LazyFrame)


def events_spared(events: Rows, forgotten: Forgotten) -> Rows:
    """Return the events, with `arrived_at`, of whoever was not forgotten since they arrived."""
    until = _until(events, forgotten)
    if not until:
        return events
    stamps = pl.Series(list(until.values()), dtype=pl.Int64)
    stamp = pl.col(USER_ID).replace_strict(list(until), stamps, default=None, return_dtype=pl.Int64)
    return events.filter(stamp.is_null() | (stamp < _ms(ARRIVED_AT)))


def records_spared(users: Rows, forgotten: Forgotten, events: pl.LazyFrame) -> Rows:
    """Return the records of whoever was not forgotten, or came back: a record has no time itself.

    Who has one of `events`, with `arrived_at`, after their forgetting is back.
    """
    until = _until(users, forgotten)
    if not until:
        return users
    listed = pl.LazyFrame({USER_ID: list(until), "until": list(until.values())})
    later = events.select(USER_ID, ARRIVED_AT).join(listed, USER_ID)
    back = later.filter(pl.col("until") < _ms(ARRIVED_AT)).select(USER_ID).unique().collect()
    gone = until.keys() - set(back[USER_ID])
    return users.filter(~pl.col(USER_ID).is_in(list(gone)))


class Spared:
    """The events of a stream of whoever was not forgotten since they arrived."""

    def __init__(self, batches: Iterator[pa.RecordBatch], forgotten: Forgotten) -> None:
        """Draw from `batches`."""
        self._batches = batches
        self._forgotten = forgotten
        self.passed_over = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield batches, and count the events that are in none."""
        for batch in self._batches:
            kept = self._filter(batch) if len(self._forgotten) else batch
            self.passed_over += batch.num_rows - kept.num_rows
            yield kept

    def _filter(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        numbered = pl.DataFrame(batch.select([USER_ID, ARRIVED_AT])).with_row_index("place")
        kept = events_spared(numbered, self._forgotten)
        return batch if len(kept) == len(numbered) else batch.take(kept["place"].to_arrow())


def _until(rows: Rows, forgotten: Forgotten) -> dict[str, int]:
    """Return up to when those shoppers of rows were forgotten who were."""
    if not len(forgotten):
        return {}
    users = rows.lazy().select(USER_ID).unique().collect(engine="streaming")
    return forgotten.until(users[USER_ID].to_list())


def _ms(column: str) -> pl.Expr:
    return pl.col(column).dt.epoch("ms")
