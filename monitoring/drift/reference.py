"""The reference: what was normal, hour by hour of the week, and how alike a shopper's rows are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array

from models.reference.rows import SLOTS, Rows
from models.reference.scores import SCORES
from monitoring.drift.columns import (
    CategoricalColumn,
    Column,
    Floats,
    Ints,
    NumericColumn,
)

LEAST_IN_SLOT = 2_000
"""Rows from which an hour of the week is a reference of its own."""

LEAST_IN_HOUR = 100
"""Rows from which an hour of the day is one for hours of the week that are not."""

_DAY = 24


_SOURCES = SLOTS + _DAY + 1
"""Hours of the week, hours of the day, and everything."""


@dataclass(frozen=True, slots=True)
class Matched:
    """What the reference would have been in the hours of a window: `shares` of each bin.

    `strangers` is the variance of a share's mean, in units of that of a row, were no two rows of
    one shopper; `company` what comes on top were those of one shopper all alike.
    """

    shares: Floats
    strangers: float
    company: float


@dataclass(frozen=True, slots=True)
class Alike:
    """How alike a shopper's rows of one visit are: intraclass correlations, from 0 to 1.

    Those of other visits are less alike; that they are taken to be as much errs to the safe side.

    `shares` is that of having a level, or of being below a number, and `uneven` its variance over
    all directions in which levels' shares can move. For numbers `place` is that of their normal
    scores, `width` that of the scores' squares.
    """

    shares: float
    uneven: float = 0.0
    place: float = 0.0
    width: float = 0.0


@dataclass(frozen=True, slots=True)
class Reference:
    """Columns with their counts int64[193, bins] in hours of the week, of the day, and in all.

    `rows` int64[193] are those of each such source, `pairs` float64[193, 193] the pairs of rows in
    two sources that are of one shopper.
    """

    columns: tuple[Column, ...]
    bins: Mapping[str, Ints]
    alike: Mapping[str, Alike]
    rows: Ints
    pairs: Floats

    @classmethod
    def of(cls, rows: Rows, categorical: Sequence[str] = ()) -> "Reference":
        """Return the reference of `rows`, some of whose columns are `categorical`.

        Columns of which nothing at all is known are left out: nothing can be said of them.
        """
        columns = [
            column
            for name, values in rows.values.items()
            if (column := _column(name, values, name in categorical)) is not None
        ]
        bins = {each.name: each.bins_of(rows.values[each.name]) for each in columns}
        _, shopper = np.unique(rows.shoppers, return_inverse=True)
        _, visit = np.unique(shopper * SLOTS + rows.slots, return_inverse=True)
        return cls(
            tuple(columns),
            {each.name: _by_source(rows.slots, bins[each.name], each.size) for each in columns},
            {each.name: _alike(each, bins[each.name], visit, rows.slots) for each in columns},
            _by_source(rows.slots, np.zeros(len(rows), np.int64), 1)[:, 0],
            _pairs(shopper, rows.slots),
        )

    def column(self, name: str) -> Column:
        """Return the column called `name`; raise `StopIteration` where there is none."""
        return next(each for each in self.columns if each.name == name)

    def matched(self, slots: Ints) -> dict[str, Matched]:
        """Return each column in the hours of a window with `slots` int64[168] rows in each.

        An hour of the week stands for itself where it has enough rows, else the hour of the day
        does, else everything.
        """
        weights = self._weights(slots)
        there = np.flatnonzero(weights)
        share = weights[there] / self.rows[there]
        strangers = float(share @ weights[there])
        company = float(share @ self.pairs[np.ix_(there, there)] @ share) - strangers
        return {
            each.name: Matched(share @ self.bins[each.name][there], strangers, max(company, 0.0))
            for each in self.columns
        }

    def _weights(self, slots: Ints) -> Floats:
        """Return how much of a window each source stands for."""
        weights = np.zeros(_SOURCES)
        for slot in np.flatnonzero(slots).tolist():
            hour = SLOTS + slot % _DAY
            source = hour if self.rows[hour] >= LEAST_IN_HOUR else -1
            weights[slot if self.rows[slot] >= LEAST_IN_SLOT else source] += slots[slot]
        weights /= slots.sum()
        return weights


def references_of(rows: Rows, categorical: Sequence[str] = ()) -> tuple[Reference, ...]:
    """Return the reference of features, and that of scores where `rows` have any.

    Scores are of some lists only, whose rows they are.
    """
    values = {name: each for name, each in rows.values.items() if name not in SCORES}
    features = Reference.of(replace(rows, values=values), categorical)
    scored = scored_of(rows)
    return (features, Reference.of(scored)) if len(scored) else (features,)


def scored_of(rows: Rows) -> Rows:
    """Return the rows that have scores, and nothing but these."""
    values = {name: rows.values[name] for name in SCORES if name in rows.values}
    there = np.zeros(len(rows), np.bool_)
    for each in values.values():
        there |= ~np.isnan(each)
    return replace(rows, values=values).take(there)


def _by_source(slots: Ints, bins: Ints, size: int) -> Ints:
    """Return the rows int64[193, size] of each bin, in each source."""
    by_slot = np.bincount(slots * size + bins, minlength=SLOTS * size).reshape(SLOTS, size)
    by_hour = by_slot.reshape(-1, _DAY, size).sum(axis=0)
    return np.concatenate((by_slot, by_hour, by_hour.sum(axis=0)[None]))


def _pairs(shopper: Ints, slots: Ints) -> Floats:
    """Return the pairs of rows float64[193, 193] that are of one shopper, in each two sources."""
    one = np.ones(len(slots))
    everything = np.full(len(slots), _SOURCES - 1)
    counts = sum(
        coo_array((one, (shopper, source)), (int(shopper.max(initial=-1)) + 1, _SOURCES)).tocsr()
        for source in (slots, SLOTS + slots % _DAY, everything)
    )
    pairs: Floats = (counts.T @ counts).toarray()
    return pairs


def _column(name: str, values: object, categorical: bool) -> Column | None:
    if categorical:
        words = list(values)  # type: ignore[call-overload] # an array of words
        return (
            CategoricalColumn.of(name, words) if any(each is not None for each in words) else None
        )
    numbers = np.asarray(values, np.float64)
    return NumericColumn.of(name, numbers) if (~np.isnan(numbers)).any() else None


def _alike(column: Column, bins: Ints, visit: Ints, slots: Ints) -> Alike:
    if isinstance(column, NumericColumn):
        return _alike_numbers(column, bins, visit, slots)
    marks = (bins[:, None] == np.unique(bins)).astype(np.float64)
    between = _between(_within(marks, slots) / np.sqrt(marks.mean(axis=0)), visit)
    directions = max(len(between) - 1, 1)
    mean = _bounded(float(np.trace(between)) / directions)
    return Alike(mean, max(float((between**2).sum()) / directions - mean**2, 0.0))


def _alike_numbers(column: NumericColumn, bins: Ints, visit: Ints, slots: Ints) -> Alike:
    cuts = np.unique(np.quantile(bins, np.linspace(0.1, 0.9, 9), method="lower"))
    scores = column.scores[bins]
    values: Floats = np.column_stack((scores, scores**2, bins[:, None] <= cuts))
    inside = _within(values, slots)
    spread = inside.std(axis=0)
    between = np.diag(_between(inside / np.where(spread > 0, spread, 1), visit))
    place, width, *shares = (_bounded(each) for each in between.tolist())
    return Alike(sum(shares) / len(shares), place=place, width=width)


def _within(values: Floats, slots: Ints) -> Floats:
    """Return how far `values` float64[n, m] are from the means of their hour of the day."""
    hours = slots % _DAY
    counts = np.maximum(np.bincount(hours, minlength=_DAY), 1)
    sums = np.stack([np.bincount(hours, each, minlength=_DAY) for each in values.T], axis=1)
    return values - (sums / counts[:, None])[hours]


def _between(values: Floats, group: Ints) -> Floats:
    """Return the covariance of `values` float64[n, m] between groups, by analysis of variance."""
    counts = np.bincount(group)
    groups, total = len(counts), len(values)
    if groups < 2 or total <= groups:
        return np.zeros((values.shape[1],) * 2)
    sums = np.stack([np.bincount(group, each) for each in values.T], axis=1)
    means = sums / counts[:, None]
    apart = (means - values.mean(axis=0)) * np.sqrt(counts)[:, None]
    rest = values - means[group]
    size = (total - float((counts.astype(np.float64) ** 2).sum()) / total) / (groups - 1)
    covariance: Floats = (apart.T @ apart / (groups - 1) - rest.T @ rest / (total - groups)) / size
    return covariance


def _bounded(share: float) -> float:
    return min(max(share, 0.0), 1.0)
