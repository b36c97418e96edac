"""The feature vector: one vectorised function for one shopper online and for any table offline.

A *pair* is (the shopper's events so far, a moment). Events are time-sorted per shopper and
lie one shopper after the other in one array; a pair names its slice. Sums are taken in
integers, so the same pair gives the same bits whatever stands beside it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.declared import FEATURES
from features.events import VALUE_SCALE, Records, type_codes
from features.feature import Feature, OnDemand, Profile
from features.moments import Ints, Moment, Moments
from features.plan import Plan, plan_for

Numbers = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class FeatureVectors(NamedTuple):
    """Features of n pairs: `values` float32[n, features], `missing` bool[n, features].

    What is missing has its declared default: nothing was known to compute it from.
    """

    values: npt.NDArray[np.float32]
    missing: Bools


def feature_vectors(
    records: Records,
    starts: Ints,
    ends: Ints,
    moments: Sequence[Moment],
    features: Sequence[Feature] = FEATURES,
) -> FeatureVectors:
    """Return every feature of every pair.

    Pair i sees `records[starts[i]:ends[i]]`, which must lie before its moment; callers cut the
    slice there, so no pair sees its own future.
    """
    told = Moments.of(moments)
    plan = plan_for(features)
    table = _EventTable(records, plan)
    shape = len(moments), len(features)
    vectors = FeatureVectors(np.empty(shape, np.float32), np.empty(shape, bool))
    values, missing = _windows(plan, table, starts, ends, told.as_of_ms)
    vectors.values[:, plan.window_columns] = values.T
    vectors.missing[:, plan.window_columns] = missing.T
    for row, column in enumerate(plan.recency_columns):
        values, missing = _recency(plan, row, table, starts, ends, told.as_of_ms)
        vectors.values[:, column], vectors.missing[:, column] = values, missing
    for column, feature in plan.others:
        numbers = _number(feature, told)
        unknown = np.isnan(numbers)
        vectors.values[:, column] = np.where(unknown, feature.default, numbers)
        vectors.missing[:, column] = unknown
    return vectors


def first_not_before(ts: Ints, starts: Ints, ends: Ints, bounds: Ints) -> Ints:
    """Return int64[windows, pairs]: the first index in [start, end) with `ts` >= bound, else end.

    `bounds` is int64[windows, pairs]; each slice of `ts` must be sorted.
    """
    if len(starts) <= _FEW_PAIRS:
        found = np.empty(bounds.shape, np.int64)
        for pair, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            found[:, pair] = start + ts[start:end].searchsorted(bounds[:, pair])
        return found
    return _bisect(ts, starts, ends, bounds)


_FEW_PAIRS = 64
"""Up to here one `searchsorted` a pair is cheaper than a binary search over all pairs at once."""


def _bisect(ts: Ints, starts: Ints, ends: Ints, bounds: Ints) -> Ints:
    low = np.broadcast_to(starts, bounds.shape).copy()
    high = np.broadcast_to(ends, bounds.shape).copy()
    for _ in range(int((ends - starts).max(initial=0)).bit_length()):
        middle = (low + high) >> 1
        searching = low < high
        before = searching & (ts[np.minimum(middle, len(ts) - 1)] < bounds)
        low = np.where(before, middle + 1, low)
        high = np.where(searching & ~before, middle, high)
    return low


class _EventTable:
    """Running totals over an event array, a row for each set of event types in the plan.

    `counts[r, i]` is how many of the first i events are of set r, `sums[r, i]` the sum of
    their values.
    """

    def __init__(self, records: Records, plan: Plan) -> None:
        self.ts: Ints = np.ascontiguousarray(records["ts"])
        self.chosen = plan.members.take(type_codes(records), axis=1)
        self.counts = _running(self.chosen)
        self.sums = _running(self.chosen[: plan.summed] * records["value"].astype(np.int64))
        self._items = records["item"]

    def distinct(self, events: int, opened: Ints, ends: Ints) -> Ints:
        """Return how many different items set `events` has in each slice, int64[pairs]."""
        counts = self.counts[events]
        hashes, items = np.unique(self._items[self.chosen[events]], return_inverse=True)
        first, sizes = counts[opened], counts[ends] - counts[opened]
        pairs = np.repeat(np.arange(len(ends)), sizes)
        places = np.arange(len(pairs)) + np.repeat(first - (np.cumsum(sizes) - sizes), sizes)
        met = items[places]
        is_item = hashes[met] != 0
        different = np.unique(pairs[is_item] * len(hashes) + met[is_item])
        return np.bincount(different // max(len(hashes), 1), minlength=len(ends))


def _running(values: npt.NDArray[np.bool_] | Ints) -> Ints:
    totals = np.empty((len(values), values.shape[1] + 1), np.int64)
    totals[:, 0] = 0
    np.cumsum(values, axis=1, out=totals[:, 1:])
    return totals


def _windows(
    plan: Plan, table: _EventTable, starts: Ints, ends: Ints, as_of_ms: Ints
) -> tuple[Numbers, Bools]:
    """Return the window features, float64[windows, pairs], and which are missing."""
    opened = first_not_before(table.ts, starts, ends, as_of_ms - plan.spans_ms)
    opened = opened[plan.window_spans]
    sets = plan.window_sets[:, None]
    counts = table.counts[sets, ends] - table.counts[sets, opened]
    values: Numbers = counts.astype(np.float64)
    missing = np.broadcast_to(starts == ends, counts.shape).copy()
    missing[plan.means] = counts[plan.means] == 0
    for row in plan.distinct:
        values[row] = table.distinct(int(plan.window_sets[row]), opened[row], ends)
    sets, opened, counts = sets[plan.valued], opened[plan.valued], counts[plan.valued]
    totals = (table.sums[sets, ends] - table.sums[sets, opened]) / VALUE_SCALE
    values[plan.valued] = np.where(plan.is_sum, totals, totals / np.maximum(counts, 1))
    return np.where(missing, plan.window_defaults, values), missing


def _recency(
    plan: Plan, row: int, table: _EventTable, starts: Ints, ends: Ints, as_of_ms: Ints
) -> tuple[Numbers, Bools]:
    """Return one recency feature, float64[pairs]: the latest event is the last one counted."""
    default, events = plan.recency_defaults[row], plan.recency_sets[row]
    times = table.ts[table.chosen[events]]
    if not len(times):
        return np.full(len(ends), default), np.ones(len(ends), bool)
    counts = table.counts[events]
    last = counts[ends]
    elapsed = np.maximum(as_of_ms - times[np.maximum(last - 1, 0)], 0) / 1_000
    missing = (last <= counts[starts]) | (elapsed > default)
    return np.where(missing, default, elapsed), missing


def _number(feature: Profile | OnDemand, moments: Moments) -> Numbers:
    """Return what a request, or the shopper's record, says of each pair; NaN where nothing."""
    if isinstance(feature, OnDemand):
        return feature.compute(moments)
    told = [(profile or {}).get(feature.name) for profile in moments.profiles]
    return np.array([each if isinstance(each, int | float) else np.nan for each in told], float)
