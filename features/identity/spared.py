"""Rows without those of shoppers who were forgotten after them."""

from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from typing import TypeVar

import polars as pl
import pyarrow as pa

from features.identity.forgotten import Forgotten
from features.identity.merges import NOBODY, Merges

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
USER_ID, ARRIVED_AT = "user_id", "arrived_at"

Rows = TypeVar("Rows", pl.DataFrame, pl.LazyFrame)


def events_spared(
    events: Rows, forgotten: Forgotten, merges: Merges = NOBODY, whose: str = USER_ID
) -> Rows:
    """Return the events, with `arrived_at`, of whoever was not forgotten since they arrived.

    Column `whose` tells under whom they arrived; they are whose `merges` make them at the moment
    of a forgetting.
    """
    if not len(forgotten):
        return events
    users = _users(events, whose)
    stamps = forgotten.stamps(list(merges.became(users)))
    gone = list(merges.gone(users, stamps)) if stamps else []
    if not gone:
        return events
    spans = pl.LazyFrame(
        gone, {whose: pl.String, "since": pl.Int64, "until": pl.Int64}, orient="row"
    )
    numbered = events.with_row_index("_row")
    inside = (_ms(ARRIVED_AT) > pl.col("since")) & (_ms(ARRIVED_AT) <= pl.col("until"))
    theirs = numbered.lazy().select("_row", whose, ARRIVED_AT).join(spans, whose).filter(inside)
    rows = theirs.collect(engine="streaming")["_row"]
    if not len(rows):
        return events
    return numbered.filter(~pl.col("_row").is_in(rows.implode())).drop("_row")


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
    """The rows of a stream of whoever was not forgotten since a stamp that each has."""

    def __init__(
        self,
        batches: Iterator[pa.RecordBatch],
        forgotten: Forgotten,
        merges: Callable[[Collection[str]], Merges] = lambda _: NOBODY,
        stamp: str = ARRIVED_AT,
        now_ms: int | None = None,
    ) -> None:
        """Draw from `batches`; `merges` are asked for, of all shoppers of a batch with one listed.

        `stamp` is the column of the moments. What is later than `now_ms` is by a clock that was
        ahead: of who is listed it goes.
        """
        self._batches = batches
        self._forgotten = forgotten
        self._merges = merges
        self._stamp = stamp
        self._now_ms = now_ms
        self.passed_over = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield batches, and count the rows that are in none."""
        for batch in self._batches:
            kept = self._filter(batch) if len(self._forgotten) else batch
            self.passed_over += batch.num_rows - kept.num_rows
            yield kept

    def _filter(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        rows = pl.DataFrame(batch.select([USER_ID, self._stamp]))
        numbered = rows.rename({self._stamp: ARRIVED_AT}).with_row_index("place")
        if not _until(numbered, self._forgotten):
            return batch
        if self._now_ms is not None:
            is_ahead = _ms(ARRIVED_AT) > self._now_ms
            numbered = numbered.with_columns(
                pl.when(~is_ahead).then(ARRIVED_AT).otherwise(pl.lit(_LONG_AGO)).alias(ARRIVED_AT)
            )
        kept = events_spared(numbered, self._forgotten, self._merges(_users(numbered, USER_ID)))
        return batch if len(kept) == len(numbered) else batch.take(kept["place"].to_arrow())


def _until(rows: Rows, forgotten: Forgotten) -> dict[str, int]:
    """Return up to when those shoppers of rows were forgotten who were."""
    if not len(forgotten):
        return {}
    return forgotten.until(_users(rows, USER_ID))


def _users(rows: Rows, whose: str) -> list[str]:
    users = rows.lazy().select(whose).unique().collect(engine="streaming")
    return users[whose].to_list()


def _ms(column: str) -> pl.Expr:
    return pl.col(column).dt.epoch("ms")
