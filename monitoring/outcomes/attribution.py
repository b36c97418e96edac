"""Events credited to the lists that showed their items: each event to one list, or to none.

    events ─ name a recommendation ─ it shows the item, and is not too old ─ credited to it
           └ all others ─ the last list that showed the item to the shopper, not too old ─ to that

A list is of whom it was served to, an event of whom it arrived under; both are of whom the merges
make them now. What names a list is credited to it whoever sent it, and however the clock went
meanwhile; what does not must come after the list.

Lists and events are read in parts that fit into memory: by recommendation, then by shopper.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl

from features.identity.merges import Merges
from features.offline.store import OfflineStore
from features.offline.translated import collected
from monitoring.outcomes.policy import Policy

ROWS_AT_ONCE = 200_000
"""Lists, or events, of a part: some ten times as many items."""

DIMENSIONS = ("model_version", "variant", "source", "page", "segment")
"""What lists are told apart by."""

CREDITS = pl.Schema(
    {
        "event_id": pl.String,
        "type": pl.String,
        "item_id": pl.String,
        "value": pl.Float64,
        "at_ms": pl.Int64,
        "recommendation_id": pl.String,
        "shopper": pl.String,
        "served_ms": pl.Int64,
        "position": pl.Int64,
        "delay_ms": pl.Int64,
        "by_id": pl.Boolean,
        **dict.fromkeys(DIMENSIONS, pl.String),
    }
)
"""One row a credited event: `shopper` is whose the list is, `position` counts from 0."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """The credits of lists that were served in a span, and how many events there were to credit.

    `before` of the credited events came before their list: a clock was set back.
    """

    credits: pl.DataFrame
    events: int

    @property
    def by_id(self) -> int:
        """Return how many events were credited to the list they name."""
        return int(self.credits["by_id"].sum())

    @property
    def before(self) -> int:
        """Return how many came before their list."""
        return int((self.credits["at_ms"] < self.credits["served_ms"]).sum())


class Tables:
    """The lists and events of one home from `since_ms` to before `until_ms`, and whose they are."""

    def __init__(self, store: OfflineStore, policy: Policy, since_ms: int, until_ms: int) -> None:
        """Look at lists of that span; at events, and at other lists, as long as they matter."""
        self._store = store
        self.policy = policy
        self.since_ms = since_ms
        self.until_ms = until_ms
        self._merges: Merges = store.merges()

    def lists(self) -> pl.LazyFrame:
        """Return the lists of the span, with `shopper` and `served_ms`."""
        return self._lists_until(self.until_ms)

    def attribution(self) -> Attribution:
        """Return what each list of the span is credited with."""
        events = self._events()
        count = _count(events.filter(pl.col("at_ms").is_between(*self._span())))
        named = [self._named(part) for part in _parts(events, "recommendation_id")]
        by_id = pl.concat([CREDITS.to_frame(), *named])
        others = events.join(by_id.lazy().select("event_id"), on="event_id", how="anti")
        told = [by_id, *self._shown(others)]
        credited = pl.concat(told).filter(pl.col("served_ms").is_between(*self._span()))
        return Attribution(credited, count)

    def _span(self) -> tuple[int, int]:
        return self.since_ms, self.until_ms - 1

    def _lists_until(self, until_ms: int) -> pl.LazyFrame:
        lists = self._store.served(_day(self.since_ms), _day(until_ms))
        stamped = lists.rename({"served_at": "arrived_at"})
        owned = self._merges.owned(stamped).rename({"user_id": "shopper"})
        served = owned.with_columns(served_ms=pl.col("arrived_at").dt.epoch("ms"))
        inside = pl.col("served_ms").is_between(self.since_ms, until_ms - 1)
        return served.drop("arrived_at").filter(inside)

    def _competing(self) -> pl.LazyFrame:
        """Return what is needed of lists that may be credited, later ones too."""
        names = ("recommendation_id", "shopper", "served_ms", "after", "items", *DIMENSIONS)
        return self._lists_until(self._last_ms()).select(names)

    def _events(self) -> pl.LazyFrame:
        """Return the events that may be credited, with `shopper` and `at_ms`."""
        events = self._store.scan("events").filter(
            pl.col("type").is_in(list(self.policy.windows_ms)), pl.col("item_id").is_not_null()
        )
        owned = self._merges.owned(events).rename({"user_id": "shopper"})
        told = owned.select(
            "event_id",
            "type",
            "item_id",
            pl.col("value").fill_null(0.0),
            "shopper",
            "recommendation_id",
            at_ms=pl.col("arrived_at").dt.epoch("ms"),
        )
        # A clock may have been set back by as much after the list.
        first, last = self.since_ms - self.policy.longest_ms, self._last_ms()
        return told.filter(pl.col("at_ms").is_between(first, last))

    def _last_ms(self) -> int:
        return self.until_ms + self.policy.longest_ms

    def _named(self, events: pl.DataFrame) -> pl.DataFrame:
        """Credit events to the lists they name."""
        named = events.filter(pl.col("recommendation_id").is_not_null())
        ids = named.lazy().select("recommendation_id").unique()
        lists = self._competing().join(ids, on="recommendation_id", how="semi")
        shown = _shown(collected(lists))
        told = named.drop("shopper").join(shown, on=["recommendation_id", "item_id"])
        return self._in_time(told.with_columns(by_id=pl.lit(value=True)))

    def _shown(self, events: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        """Credit events to the last lists that showed their items to their shoppers."""
        lists = self._competing()
        parts = max(-(-_count(lists) // ROWS_AT_ONCE), 1)
        for number in range(parts):
            mine = pl.col("shopper").hash() % parts == number
            some = collected(events.filter(mine))
            if len(some):
                shown = _shown(collected(lists.filter(mine)))
                yield self._in_time(_last_touch(some, shown))

    def _in_time(self, told: pl.DataFrame) -> pl.DataFrame:
        """Leave out what came too long after its list."""
        delay = (pl.col("at_ms") - pl.col("served_ms")).clip(lower_bound=0)
        longest = pl.col("type").replace_strict(dict(self.policy.windows_ms), return_dtype=pl.Int64)
        return (
            told.with_columns(delay_ms=delay)
            .filter(pl.col("delay_ms") <= longest)
            .select(CREDITS.names())
            .cast(CREDITS)
        )


def _shown(lists: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each item of each list, with its position over all pages."""
    return (
        lists.with_columns(
            position=pl.int_ranges("after", pl.col("after") + pl.col("items").list.len())
        )
        .explode("items", "position")
        .rename({"items": "item_id"})
        .drop_nulls("item_id")
        .unique(["recommendation_id", "item_id"], keep="first", maintain_order=True)
        .select("recommendation_id", "item_id", "shopper", "served_ms", "position", *DIMENSIONS)
    )


def _last_touch(events: pl.DataFrame, shown: pl.DataFrame) -> pl.DataFrame:
    key = pl.struct("shopper", "item_id").hash().alias("key")
    left = events.drop("recommendation_id").with_columns(key).sort("at_ms")
    right = shown.with_columns(key).drop("item_id", "shopper").sort("served_ms")
    touched = left.join_asof(
        right.with_columns(at_ms=pl.col("served_ms")),
        on="at_ms",
        by="key",
        strategy="backward",
        check_sortedness=False,
    )
    found = touched.filter(pl.col("recommendation_id").is_not_null())
    return found.with_columns(by_id=pl.lit(value=False))


def _parts(rows: pl.LazyFrame, column: str) -> Iterator[pl.DataFrame]:
    """Yield rows that have a value in a column, by its hash, in parts that fit into memory."""
    told = rows.filter(pl.col(column).is_not_null())
    parts = max(-(-_count(told) // ROWS_AT_ONCE), 1)
    for number in range(parts):
        yield collected(told.filter(pl.col(column).hash() % parts == number))


def _count(rows: pl.LazyFrame) -> int:
    return int(collected(rows.select(pl.len())).item())


def _day(stamp_ms: int) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=stamp_ms)).date()
