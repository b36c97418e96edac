"""The feature vector: one vectorised function for one shopper online and for any table offline.

A *pair* is (the shopper's events so far, a moment). Events are time-sorted per shopper and
lie one shopper after the other in one array; a pair names its slice. Sums are taken in
integers, so the same pair gives the same bits whatever stands beside it.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.definitions import FEATURES, Feature, Location, Profile, Temporal
from features.events import VALUE_SCALE, Records, type_codes
from features.plan import Plan, plan_for

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]


class Moment(NamedTuple):
    """What the request itself tells: when (milliseconds UTC), from where, and who is known."""

    as_of_ms: int
    country: str | None = None
    latitude: float | None = None
    profile: Mapping[str, object] | None = None

    @property
    def home(self) -> object:
        """Return where the shopper is, else where they live, else None."""
        return self.country or (self.profile or {}).get("country")


def feature_vectors(
    records: Records,
    starts: Ints,
    ends: Ints,
    moments: Sequence[Moment],
    features: Sequence[Feature] = FEATURES,
) -> Vectors:
    """Return float32[pairs, features].

    Pair i sees `records[starts[i]:ends[i]]`, which must lie before its moment; callers cut the
    slice there, so no pair sees its own future.
    """
    as_of = np.array([moment.as_of_ms for moment in moments], np.int64)
    plan = plan_for(features)
    table = _EventTable(records, plan)
    vectors = np.empty((len(moments), len(features)), np.float32)
    vectors[:, plan.window_columns] = _windows(plan, table, starts, ends, as_of).T
    for row, column in enumerate(plan.recency_columns):
        vectors[:, column] = _recency(plan, row, table, starts, ends, as_of)
    clock = _clock(as_of)
    for column, feature in plan.others:
        if isinstance(feature, Temporal):
            vectors[:, column] = clock[feature.name]
        elif isinstance(feature, Location):
            vectors[:, column] = [_LOCATION[feature.name](moment) for moment in moments]
        elif isinstance(feature, Profile):
            vectors[:, column] = [_profile_number(feature, moment) for moment in moments]
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


def _running(values: npt.NDArray[np.bool_] | Ints) -> Ints:
    totals = np.empty((len(values), values.shape[1] + 1), np.int64)
    totals[:, 0] = 0
    np.cumsum(values, axis=1, out=totals[:, 1:])
    return totals


def _windows(plan: Plan, table: _EventTable, starts: Ints, ends: Ints, as_of_ms: Ints) -> Numbers:
    """Return the window features, float64[windows, pairs]."""
    opened = first_not_before(table.ts, starts, ends, as_of_ms - plan.spans_ms)
    opened = opened[plan.window_spans]
    sets = plan.window_sets[:, None]
    counts = table.counts[sets, ends] - table.counts[sets, opened]
    values: Numbers = counts.astype(np.float64)
    sets, opened, counts = sets[plan.valued], opened[plan.valued], counts[plan.valued]
    totals = (table.sums[sets, ends] - table.sums[sets, opened]) / VALUE_SCALE
    means = np.where(counts > 0, totals / np.maximum(counts, 1), plan.defaults)
    values[plan.valued] = np.where(plan.is_sum, totals, means)
    return values


def _recency(
    plan: Plan, row: int, table: _EventTable, starts: Ints, ends: Ints, as_of_ms: Ints
) -> Numbers:
    """Return one recency feature, float64[pairs]: the latest event is the last one counted."""
    default, events = plan.recency_defaults[row], plan.recency_sets[row]
    times = table.ts[table.chosen[events]]
    if not len(times):
        return np.full(len(ends), default)
    counts = table.counts[events]
    last = counts[ends]
    elapsed = np.maximum(as_of_ms - times[np.maximum(last - 1, 0)], 0) / 1_000
    return np.where(last > counts[starts], np.minimum(elapsed, default), default)


def _clock(as_of_ms: Ints) -> dict[str, Ints]:
    days = as_of_ms // 86_400_000
    weekday = (days + 3) % 7  # the epoch was a Thursday
    months = as_of_ms.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    return {
        "hour": as_of_ms // 3_600_000 % 24,
        "weekday": weekday,
        "month": months % 12 + 1,
        "is_weekend": (weekday >= 5).astype(np.int64),
    }


def _at_home(moment: Moment) -> float:
    home = (moment.profile or {}).get("country")
    return float(home is not None and home == moment.country)


_LOCATION = {
    "latitude": lambda moment: moment.latitude or 0.0,
    "location_known": lambda moment: float(
        moment.country is not None or moment.latitude is not None
    ),
    "at_home": _at_home,
}


def _profile_number(feature: Profile, moment: Moment) -> float:
    value = (moment.profile or {}).get(feature.name)
    return float(value) if isinstance(value, int | float) else feature.default
