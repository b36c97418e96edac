"""The sums that figures are made of: by window, side and segment, a part of shoppers at a time.

    lists and credits of some shoppers ─ a row a list ─ sums a shopper ─ six moments ─ added up

A window ends where a metric's last day is mature. The live side is of the version that serves; the
base is of the version before, or of the same one before the window.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from features.offline.store import OfflineStore
from features.offline.translated import collected
from monitoring.labels import Reason
from monitoring.outcomes.attribution import ROWS_AT_ONCE, Tables
from monitoring.outcomes.policy import HOUR_MS
from monitoring.outcomes.policy import Policy as OutcomePolicy
from monitoring.performance.calibration import Calibration
from monitoring.performance.coverage import Coverage
from monitoring.performance.moments import Figure, Moments
from monitoring.performance.policy import Policy
from monitoring.performance.scored import RATIOS, scored

DAY_MS = 24 * HOUR_MS
EVERYBODY = ("", "")
Segment = tuple[str, str]
"""Of what (`page`), and which (`home`)."""


@dataclass(frozen=True, slots=True)
class Span:
    """Lists that were served from `start_ms` to before `end_ms`."""

    start_ms: int
    end_ms: int

    def of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return those among some."""
        return rows.filter(pl.col("served_ms").is_between(self.start_ms, self.end_ms - 1))


@dataclass(frozen=True, slots=True)
class Versions:
    """The version that serves, and the one that it is held against: the same where that is None."""

    live: str
    base: str | None


@dataclass(slots=True)
class Sums:
    """What was summed up: ratios by metric, window in days, side and segment; coverage; scores."""

    ratios: dict[tuple[str, int, bool, Segment], Moments] = field(default_factory=dict)
    coverage: dict[tuple[int, bool], Coverage] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=Calibration)
    """Of the longest window, where scores are probabilities."""

    catalogue: int = 0
    served: dict[tuple[str | None, int], set[int]] = field(default_factory=dict)
    """Days of a window on which the version that serves did, by type of events and window."""

    def ratio(self, metric: str, days: int, segment: Segment, *, live: bool) -> Figure | None:
        """Return a figure of one side of a window."""
        found = self.ratios.get((metric, days, live, segment))
        return None if found is None else found.figure()

    def served_days(self, kind: str | None, days: int) -> int:
        """Return on how many days of a window the version that serves had lists."""
        return len(self.served.get((kind, days), ()))

    def covered(self, days: int, *, live: bool) -> Figure | None:
        """Return coverage of one side of a window."""
        found = self.coverage.get((days, live))
        return None if found is None else found.figure(self.catalogue)


class Summing:
    """Sums up the lists of a store."""

    def __init__(
        self,
        store: OfflineStore,
        policy: Policy,
        outcomes: OutcomePolicy,
        versions: Versions,
        now_ms: int,
    ) -> None:
        """Sum up nothing yet."""
        self._store = store
        self._policy = policy
        self._outcomes = outcomes
        self._versions = versions
        self._now_ms = now_ms
        self._told = Sums()

    def span(self, kind: str | None, days: int) -> Span:
        """Return the window of so many days of a metric that waits for a type of events."""
        settled = self._now_ms - self._outcomes.settle_ms
        waits = 0 if kind is None else self._outcomes.windows_ms.get(kind, 0)
        end = (settled - waits) // DAY_MS * DAY_MS
        return Span(end - days * DAY_MS, end)

    def sums(self) -> Sums:
        """Return the sums; raise `StoreError`."""
        kinds = {each.kind for each in RATIOS.values()}
        longest = max(self._policy.window_days) + self._policy.baseline_days
        first = min(self.span(kind, longest).start_ms for kind in kinds)
        tables = Tables(self._store, self._outcomes, first, self._now_ms + 1)
        credited = tables.attribution().credits
        items = self._store.scan("items").select("item_id", "category")
        categories = collected(items)
        self._told.catalogue = len(categories)
        for lists in self._parts(tables.lists()):
            mine = credited.join(
                lists.select("recommendation_id"), on="recommendation_id", how="semi"
            )
            self._add(scored(lists, mine, categories))
            if self._policy.scores_are_probabilities:
                live = lists.filter(model_version=self._versions.live)
                window = self.span("click", max(self._policy.window_days))
                self._told.calibration.add(window.of(live), mine)
        return self._told

    def _parts(self, lists: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        """Yield the lists of both versions, all those of a shopper together.

        What was held back on purpose is not what a model does: counted against it, it would hold
        back more.
        """
        versions = [each for each in (self._versions.live, self._versions.base) if each is not None]
        ours = lists.filter(
            pl.col("model_version").is_in(versions),
            pl.col("reason").ne_missing(Reason.FALLBACK_SHARE.value),
        )
        count = int(collected(ours.select(pl.len())).item())
        parts = max(-(-count // ROWS_AT_ONCE), 1)
        for number in range(parts):
            yield collected(ours.filter(pl.col("shopper").hash() % parts == number))

    def _sides(
        self, kind: str | None, days: int, rows: pl.DataFrame
    ) -> Iterator[tuple[bool, pl.DataFrame]]:
        """Yield the rows of both sides of a window, live or not."""
        window = self.span(kind, days)
        live = rows.filter(model_version=self._versions.live)
        yield True, window.of(live)
        before = Span(window.start_ms - self._policy.baseline_days * DAY_MS, window.start_ms)
        if self._versions.base is None:
            yield False, before.of(live)
        else:
            base = rows.filter(model_version=self._versions.base)
            yield False, Span(before.start_ms, window.end_ms).of(base)

    def _add(self, rows: pl.DataFrame) -> None:
        for kind in {each.kind for each in RATIOS.values()}:
            names = [name for name, each in RATIOS.items() if each.kind == kind]
            for days in self._policy.window_days:
                for live, side in self._sides(kind, days, rows):
                    if live:
                        on = (side["served_ms"] // DAY_MS).unique()
                        self._told.served.setdefault((kind, days), set()).update(on)
                    for segment, moments in self._moments(names, side):
                        for name, each in moments.items():
                            key = (name, days, live, segment)
                            self._told.ratios[key] = self._told.ratios.get(key, Moments()) + each
                    if kind is None:
                        self._told.coverage.setdefault((days, live), Coverage()).add(side)

    def _moments(
        self, names: Sequence[str], rows: pl.DataFrame
    ) -> Iterator[tuple[Segment, dict[str, Moments]]]:
        """Yield the moments of all lists, and of each segment."""
        if not len(rows):
            return
        for dimension in ("", *self._policy.segments):
            group = pl.lit("") if not dimension else pl.col(dimension).fill_null("-")
            grouped = rows.with_columns(group.alias("group"))
            for told in _by_group(names, grouped).iter_rows(named=True):
                yield (
                    (dimension, told["group"]),
                    {
                        name: Moments(
                            told[f"{name} shoppers"],
                            told["lists"],
                            *(told[f"{name} {sum_}"] for sum_ in ("x", "y", "xx", "xy", "yy")),
                        )
                        for name in names
                    },
                )


def _by_group(names: Sequence[str], rows: pl.DataFrame) -> pl.DataFrame:
    """Return the moments of each metric, a row a group.

    Its shoppers are those with anything to tell of it: of accuracy who clicked, not whoever was
    served.
    """
    sums = [
        pl.col(column).sum().alias(f"{name} {side}")
        for name in names
        for side, column in (("x", RATIOS[name].x), ("y", RATIOS[name].y))
    ]
    a_shopper = rows.group_by("group", "shopper").agg(pl.len().alias("lists"), *sums)
    squares = []
    for name in names:
        x, y = pl.col(f"{name} x"), pl.col(f"{name} y")
        squares += [
            (y > 0).sum().alias(f"{name} shoppers"),
            x.sum(),
            y.sum(),
            (x * x).sum().alias(f"{name} xx"),
            (x * y).sum().alias(f"{name} xy"),
            (y * y).sum().alias(f"{name} yy"),
        ]
    return a_shopper.group_by("group").agg(pl.col("lists").sum(), *squares)
