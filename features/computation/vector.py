"""The feature vector: one vectorised function for one shopper online and for any table offline.

A *pair* is (the shopper's events so far, a moment). Events are time-sorted per shopper and
lie one shopper after the other in one array; a pair names its slice of it. Sums are taken in
integers, so the same pair gives the same bits whatever stands beside it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.computation.plan import Plan, plan_for
from features.computation.slices import Slices
from features.computation.totals import Totals
from features.declared import FEATURES
from features.events import VALUE_SCALE, Records, type_codes
from features.feature import LONGEST_S, Feature, OnDemand, Profile
from features.grouping import grouped
from features.moments import Ints, Moments

Numbers = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class FeatureVectors(NamedTuple):
    """Features of n pairs: `values` float32[n, features], `missing` bool[n, features].

    What is missing has its declared default: nothing was known to compute it from, or what came of
    it is not within the declared range.
    """

    values: npt.NDArray[np.float32]
    missing: Bools


def feature_vectors(
    records: Records,
    slices: Slices,
    moments: Moments,
    features: Sequence[Feature] = FEATURES,
) -> FeatureVectors:
    """Return every feature of every pair.

    Pair i sees the `records` of its slice, which must lie before its moment; callers cut the slice
    there, so no pair sees its own future.
    """
    plan = plan_for(features)
    table = _EventTable(records, slices, plan)
    shape = len(moments), len(features)
    vectors = FeatureVectors(np.empty(shape, np.float32), np.empty(shape, bool))
    values, missing = _windows(plan, table, slices, moments.as_of_ms)
    vectors.values[:, plan.window_columns] = values.T
    vectors.missing[:, plan.window_columns] = missing.T
    for row, column in enumerate(plan.recency_columns):
        values, missing = _recency(plan, row, table, slices, moments.as_of_ms)
        vectors.values[:, column], vectors.missing[:, column] = values, missing
    values, missing = _others(plan, moments)
    vectors.values[:, plan.other_columns] = values.T
    vectors.missing[:, plan.other_columns] = missing.T
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


_NUMBER = (int, float)
_NEVER = -(1 << 62)
"""Before any event, in milliseconds."""

_FEW_PAIRS = 16
"""Up to here one `searchsorted` a pair is cheaper than a binary search over all pairs at once."""

_IN_CACHE = 1 << 16
"""Numbers of which a few arrays stay in a core's cache."""


def _bisect(ts: Ints, starts: Ints, ends: Ints, bounds: Ints) -> Ints:
    """Return the same by a search over all pairs at once, some windows at a time."""
    found = np.empty(bounds.shape, np.int64)
    steps = [1 << bit for bit in reversed(range(int((ends - starts).max(initial=0)).bit_length()))]
    some = max(_IN_CACHE // len(starts), 1)
    for row in range(0, len(bounds), some):
        last, bound = found[row : row + some], bounds[row : row + some]
        last[:] = starts - 1  # the last index known to be before the bound
        for step in steps:
            there = last + step
            before = ts.take(there, mode="clip") < bound
            before &= there < ends
            last += before * step
    found += 1
    return found


class _EventTable:
    """An array of events, and running totals of the sets that windows are about."""

    def __init__(self, records: Records, slices: Slices, plan: Plan) -> None:
        self.ts: Ints = np.ascontiguousarray(records["ts"])
        self._codes: Ints = type_codes(records).astype(np.int64)  # as what is looked up by them
        most = int((slices.ends - slices.starts).max(initial=0))
        self.counts = Totals(self._codes, plan.members[: plan.counted], most)
        self.sums = Totals(self._codes, plan.members[: plan.summed], most, records["value"])
        self._items = records["item"]
        self._members, self._is_long = plan.members, plan.is_long

    def distinct(self, sets: list[int], opened: Ints, slices: Slices) -> Ints:
        """Return how many different items the events of `sets` have from `opened` on, int64[n]."""
        events = np.flatnonzero(self._any_of(sets))
        first, end = events.searchsorted(opened), events.searchsorted(slices.ends)
        sizes = end - first
        pairs = np.repeat(np.arange(len(slices)), sizes)
        places = np.arange(len(pairs)) + np.repeat(first - (np.cumsum(sizes) - sizes), sizes)
        items = self._items[events].take(places)
        told = items != 0
        if not slices.are_whole:
            long = self._any_of([each for each in sets if self._is_long[each]])
            told &= long[events[places]] | (events[places] >= slices.recents[pairs])
        items, pairs = items[told], pairs[told]
        if not len(items):
            return np.zeros(len(slices), np.int64)
        order, first = grouped(items, pairs)
        return np.bincount(pairs.take(order.take(first)), minlength=len(slices))

    def latest(self, member: Bools, begins: Ints, ends: Ints) -> Ints:
        """Return when the last event of type codes `member` was, int64[n]; `_NEVER` for none."""
        places = np.flatnonzero(member.take(self._codes))
        if not len(places):
            return np.full(len(ends), _NEVER)
        last = places.take(places.searchsorted(ends) - 1)  # the very last where there is none
        return np.where((last >= begins) & (last < ends), self.ts.take(last), _NEVER)

    def _any_of(self, sets: list[int]) -> Bools:
        chosen: Bools = self._members[sets].any(axis=0).take(self._codes)
        return chosen


def _windows(
    plan: Plan, table: _EventTable, slices: Slices, as_of_ms: Ints
) -> tuple[Numbers, Bools]:
    """Return the window features, float64[windows, pairs], and which are missing.

    What is not within the declared range is not believed.
    """
    opened = first_not_before(table.ts, slices.starts, slices.ends, as_of_ms - plan.spans_ms)
    sets, ends = plan.part_sets, slices.ends
    begins = _visible(plan, sets, opened[plan.part_spans], slices)
    counts = _of_windows(table.counts.between(sets, begins, ends), plan.window_begins)
    values: Numbers = counts.astype(np.float64)
    for row, several in plan.distinct:
        values[row] = table.distinct(several, opened[plan.window_spans[row]], slices)
    sets, begins = sets[plan.valued_parts], begins[plan.valued_parts]
    sums = _of_windows(table.sums.between(sets, begins, ends), plan.valued_begins)
    totals = sums / VALUE_SCALE
    means = totals / np.maximum(counts[plan.valued], 1)
    values[plan.valued] = np.where(plan.valued_is_sum[:, None], totals, means)
    missing = values < plan.window_lows
    missing |= values > plan.window_highs
    missing |= _nobody(table, slices, as_of_ms)
    missing[plan.means] |= counts[plan.means] == 0
    return np.where(missing, plan.window_defaults, values), missing


def _nobody(table: _EventTable, slices: Slices, as_of_ms: Ints) -> Bools:
    """Return of whom nothing is known: who did nothing, or nothing for as long as is kept."""
    if not len(table.ts):
        return np.ones(len(slices), bool)
    idle_ms = as_of_ms - table.ts[np.maximum(slices.ends - 1, 0)]
    nobody: Bools = (slices.starts == slices.ends) | (idle_ms > LONGEST_S * 1_000)
    return nobody


def _visible(plan: Plan, sets: Ints, opened: Ints, slices: Slices) -> Ints:
    """Return where the events of each set begin that a pair sees, int64[sets, pairs]."""
    if slices.are_whole:
        return opened
    return np.where(plan.is_long[sets, None], opened, np.maximum(opened, slices.recents))


def _of_windows(parts: Ints, begins: Ints) -> Ints:
    """Return the sum of each window's parts, which `begins` tells apart."""
    return parts if len(parts) == len(begins) else np.add.reduceat(parts, begins, axis=0)


def _recency(
    plan: Plan, row: int, table: _EventTable, slices: Slices, as_of_ms: Ints
) -> tuple[Numbers, Bools]:
    """Return one recency feature, float64[pairs], and where it is missing."""
    default, low = plan.recency_defaults[row], plan.recency_lows[row]
    if slices.are_whole:
        latest = table.latest(plan.recency_members[row], slices.starts, slices.ends)
    else:
        latest = np.full(len(slices), _NEVER)
        for is_long, member in plan.recency_parts[row]:
            begins = slices.starts if is_long else slices.recents
            latest = np.maximum(latest, table.latest(member, begins, slices.ends))
    elapsed = np.maximum(as_of_ms - latest, 0) / 1_000
    missing = (elapsed < low) | (elapsed > default)  # as it is since `_NEVER`
    return np.where(missing, default, elapsed), missing


def _others(plan: Plan, moments: Moments) -> tuple[Numbers, Bools]:
    """Return what requests, or shoppers' records, say, float64[others, pairs], and what is missing.

    What is not of the declared type, or not within the declared range, is not believed.
    """
    numbers = np.empty((len(plan.others), len(moments)), np.float64)
    for row, feature in enumerate(plan.others):
        numbers[row] = _number(feature, moments)
    believed = (numbers >= plan.other_lows) & (numbers <= plan.other_highs)
    believed &= (numbers == np.floor(numbers)) | ~plan.other_is_whole
    return np.where(believed, numbers, plan.other_defaults), ~believed


def _number(feature: Profile | OnDemand, moments: Moments) -> Numbers:
    """Return what a request, or the shopper's record, says of each pair; NaN where nothing."""
    if isinstance(feature, OnDemand):
        return np.asarray(feature.compute(moments), np.float64)
    name = feature.name
    told = [profile.get(name) if profile else None for profile in moments.profiles]
    return np.array([x if isinstance(x, _NUMBER) else np.nan for x in told], np.float64)
