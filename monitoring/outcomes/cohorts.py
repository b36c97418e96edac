"""Lists by when they were served, and what became of each cohort, as far as is known.

A cohort is mature for a type of events when its last list is so old that nothing more can count:
only then is its rate what it is. Before, there is an estimate, by `monitoring.outcomes.nowcast`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from features.offline.store import OfflineStore
from features.offline.translated import collected
from monitoring.outcomes.attribution import Attribution, Tables
from monitoring.outcomes.delays import Delays
from monitoring.outcomes.nowcast import Nowcast, Young, nowcast
from monitoring.outcomes.policy import HOUR_MS, Policy

LENGTHS_MS = {"hour": HOUR_MS, "day": 24 * HOUR_MS, "week": 7 * 24 * HOUR_MS}
_MONDAY_MS = 4 * 24 * HOUR_MS
"""The first one after 1970 began: weeks begin there, and days and hours do as well."""

_SLICES = 96
"""Parts of a cohort whose lists count as equally old."""

_AHEAD_MS = 60_000
"""Clocks of several machines differ by less."""

COHORT, GROUP = "cohort", "group"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of one type of events: lists that have one, events, and their values' sum.

    `nowcast` is an estimate for who is not mature, or says why there is none.
    """

    lists: int
    events: int
    value: float
    is_mature: bool
    nowcast: Nowcast | str | None = None


@dataclass(frozen=True, slots=True)
class Cohort:
    """The lists that were served in the `length_ms` after `start_ms`, of one `group` if by any."""

    start_ms: int
    length_ms: int
    group: str | None
    lists: int
    shoppers: int
    outcomes: Mapping[str, Outcome]

    def rate(self, kind: str) -> float | None:
        """Return the share of lists that have an event of a type, None before it is known."""
        told = self.outcomes[kind]
        return told.lists / self.lists if told.is_mature else None


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Cohorts, the oldest first, and what there was to credit; `ahead` lists are of a future."""

    cohorts: tuple[Cohort, ...]
    attribution: Attribution
    ahead: int


def outcomes(
    store: OfflineStore,
    policy: Policy,
    now_ms: int,
    days: int,
    every: str = "day",
    by: str | None = None,
) -> Outcomes:
    """Return the cohorts of the last `days`, each an hour, day or week (`every`) of one value `by`.

    `by` is one of `DIMENSIONS`. Raises `StoreError`.
    """
    length_ms = LENGTHS_MS[every]
    since_ms = _begin(now_ms - days * LENGTHS_MS["day"], length_ms)
    tables = Tables(store, policy, since_ms, now_ms + 1)
    attribution = tables.attribution()
    cohorts = _Cohorts(tables, now_ms, length_ms, by).told(attribution.credits)
    return Outcomes(tuple(cohorts), attribution, _ahead(store, now_ms))


Key = tuple[int, str | None]


class _Cohorts:
    """Counts the lists of a span by cohort and group, and what they are credited with."""

    def __init__(self, tables: Tables, now_ms: int, length_ms: int, by: str | None) -> None:
        self._policy = tables.policy
        self._now_ms = now_ms
        self._known_ms = now_ms - tables.policy.settle_ms
        self._length_ms = length_ms
        self._by = by
        self._lists = self._grouped(tables.lists())

    def told(self, credited: pl.DataFrame) -> Iterator[Cohort]:
        """Yield each cohort, the oldest first."""
        counted = self._lists.group_by(COHORT, GROUP).agg(
            pl.len().alias("lists"), pl.col("shopper").n_unique().alias("shoppers")
        )
        rows = collected(counted).sort(COHORT, GROUP, nulls_last=True).rows()
        grouped = self._grouped(credited.lazy()).collect()
        found = {
            kind: self._outcomes(kind, grouped.filter(type=kind), [row[:2] for row in rows])
            for kind in self._policy.windows_ms
        }
        for start_ms, group, lists, shoppers in rows:
            told = {kind: each[start_ms, group] for kind, each in found.items()}
            yield Cohort(start_ms, self._length_ms, group, lists, shoppers, told)

    def _grouped(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        group = pl.lit(None, pl.String) if self._by is None else pl.col(self._by)
        return rows.with_columns(self._start().alias(COHORT), group.alias(GROUP))

    def _start(self) -> pl.Expr:
        served = pl.col("served_ms")
        return served - (served - _MONDAY_MS) % self._length_ms

    def _is_mature(self, kind: str, start_ms: int) -> bool:
        return start_ms + self._length_ms + self._policy.matures_ms(kind) <= self._now_ms

    def _outcomes(self, kind: str, credited: pl.DataFrame, keys: list[Key]) -> dict[Key, Outcome]:
        seen = credited.group_by(COHORT, GROUP).agg(
            pl.col("recommendation_id").n_unique(), pl.len(), pl.col("value").sum()
        )
        known: dict[Key, tuple[int, int, float]] = {
            (start_ms, group): (lists, events, value)
            for start_ms, group, lists, events, value in seen.rows()
        }
        young = [key for key in keys if not self._is_mature(kind, key[0])]
        # Of the last minutes some events are in the tables, and others are not.
        settled = credited.filter(pl.col("at_ms") <= self._known_ms)
        estimates = self._estimates(kind, settled, young) if young else {}
        return {
            key: Outcome(
                *known.get(key, (0, 0, 0.0)),
                is_mature=self._is_mature(kind, key[0]),
                nowcast=estimates.get(key),
            )
            for key in keys
        }

    def _estimates(
        self, kind: str, credited: pl.DataFrame, keys: list[Key]
    ) -> dict[Key, Nowcast | str]:
        delays = self._delays(kind, credited)
        starts = sorted({start_ms for start_ms, _ in keys})
        lists = self._lists.filter(pl.col(COHORT).is_in(starts))
        ages = self._ages(lists)
        shoppers = _by_shopper(lists, credited)
        told = {}
        for key in keys:
            age, shopper = ages[key], shoppers[key]
            young = Young(
                shopper["lists"].to_numpy(),
                shopper["have"].to_numpy(),
                age["age"].to_numpy(),
                age["lists"].to_numpy(),
            )
            told[key] = nowcast(young, delays)
        return told

    def _delays(self, kind: str, credited: pl.DataFrame) -> Delays:
        first = credited.group_by("recommendation_id", "shopper", "served_ms").agg(
            pl.col("delay_ms").min()
        )
        ages = (self._known_ms - first["served_ms"]).clip(lower_bound=0)
        return Delays(
            first["delay_ms"].to_numpy(),
            np.maximum(ages.to_numpy(), first["delay_ms"].to_numpy()),
            first["shopper"].hash().reinterpret(signed=True).to_numpy(),
            self._policy.windows_ms[kind],
        )

    def _ages(self, lists: pl.LazyFrame) -> dict[Key, pl.DataFrame]:
        """Return by cohort how many lists are how old, in slices of its length."""
        slice_ms = self._length_ms // _SLICES
        middle = pl.col("served_ms") // slice_ms * slice_ms + slice_ms // 2
        age = (self._known_ms - middle).clip(lower_bound=0).alias("age")
        counted = lists.group_by(COHORT, GROUP, age).agg(pl.len().cast(pl.Float64).alias("lists"))
        return _by_key(collected(counted))


def _by_shopper(lists: pl.LazyFrame, credited: pl.DataFrame) -> dict[Key, pl.DataFrame]:
    """Return by cohort how many lists each shopper was served, and how many have the event."""
    whose = [COHORT, GROUP, "shopper"]
    served = collected(lists.group_by(whose).agg(pl.len().cast(pl.Float64).alias("lists")))
    have = credited.group_by(whose).agg(
        pl.col("recommendation_id").n_unique().cast(pl.Float64).alias("have")
    )
    told = served.join(have, on=whose, how="left", nulls_equal=True)
    return _by_key(told.with_columns(pl.col("have").fill_null(0.0)))


def _by_key(rows: pl.DataFrame) -> dict[Key, pl.DataFrame]:
    parts = rows.partition_by(COHORT, GROUP, as_dict=True)
    return {(int(key[0]), key[1]): part for key, part in parts.items()}


def _begin(stamp_ms: int, length_ms: int) -> int:
    return stamp_ms - (stamp_ms - _MONDAY_MS) % length_ms


def _ahead(store: OfflineStore, now_ms: int) -> int:
    """Return how many lists a clock that was ahead says to have been served later than now."""
    later = store.served().filter(pl.col("served_at").dt.epoch("ms") > now_ms + _AHEAD_MS)
    return int(collected(later.select(pl.len())).item())
