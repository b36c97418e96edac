"""Shoppers in parts: memory holds the events of one part at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl

PART_EVENTS = 16_000_000
"""Events of shoppers that are read at a time, about: some 100 bytes of memory each."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Part:
    """Shoppers with ids behind `begin` and up to `end`, None for no bound; about how many."""

    begin: str | None
    end: str | None
    shoppers: int
    since_ms: int | None = None
    """Only those of whom an event arrived since."""
    whose: pl.DataFrame | None = None
    """Only those of whom the id stands here, in a column user_id."""

    def narrowed(
        self, events: pl.LazyFrame, users: pl.LazyFrame
    ) -> tuple[pl.LazyFrame, pl.LazyFrame]:
        """Return those events and records that are of the part's shoppers."""
        events, users = self._within(events), self._within(users)
        if self.since_ms is None:
            return events, users
        whose = events.filter(self._is_late()).select("user_id").unique()
        return events.join(whose, "user_id", "semi"), users.join(whose, "user_id", "semi")

    def split(
        self, events: pl.LazyFrame, users: pl.LazyFrame, size: int | None = None
    ) -> "list[Part]":
        """Return these shoppers in the order of their ids, in parts of some `size` events.

        Where that is None they are of `PART_EVENTS`. Shoppers of whom there are only records are
        in one part, if they are not between others.
        """
        events, users = self._within(events), self._within(users)
        late = pl.lit(value=True) if self.since_ms is None else self._is_late().any()
        sizes = events.group_by("user_id").agg(pl.len(), late.alias("late"))
        told = sizes.filter("late").sort("user_id").collect()
        if not len(told):
            alone = self.since_ms is None and len(users.head(1).collect())
            return [self] if alone else []
        return list(self._cut(told["user_id"], told["len"], size or PART_EVENTS))

    def _cut(self, shoppers: pl.Series, events: pl.Series, size: int) -> "Iterator[Part]":
        """Yield parts of some `size` events of these shoppers, who have so many `events` each."""
        number = (events.cum_sum() - events) // size
        ends = (
            pl.DataFrame({"part": number, "user_id": shoppers})
            .group_by("part", maintain_order=True)
            .agg(pl.col("user_id").last(), pl.len())
        )
        bounds = [self.begin, *ends["user_id"].to_list()[:-1], self.end]
        for (begin, end), count in zip(pairwise(bounds), ends["len"].to_list(), strict=True):
            yield replace(self, begin=begin, end=end, shoppers=count)

    def _within(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Return those rows that are about these shoppers, whenever their events arrived."""
        if self.begin is not None:
            rows = rows.filter(pl.col("user_id") > self.begin)
        if self.end is not None:
            rows = rows.filter(pl.col("user_id") <= self.end)
        return rows if self.whose is None else rows.join(self.whose.lazy(), "user_id", "semi")

    def _is_late(self) -> pl.Expr:
        return pl.col("arrived_at") >= moment(self.since_ms or 0)


def moment(stamp_ms: int) -> datetime:
    """Return a stamp as the tables hold it."""
    return _EPOCH + timedelta(milliseconds=stamp_ms)
