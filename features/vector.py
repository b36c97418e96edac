"""The feature vector: one vectorised function for one shopper online and for any table offline.

A *pair* is (the shopper's events so far, a moment). Events are time-sorted per shopper and
lie one shopper after the other in one array; a pair names its slice. Sums are taken in
integers, so the same pair gives the same bits whatever stands beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.definitions import FEATURES, Aggregation, Feature, Location, Profile, Recency, Window
from features.events import TYPE_CODES, VALUE_SCALE, Records, type_codes

Ints = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Moment:
    """What the request itself tells: when (milliseconds UTC), from where, and who is known."""

    as_of_ms: int
    country: str | None = None
    latitude: float | None = None
    profile: Mapping[str, object] | None = None


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
    vectors = np.empty((len(moments), len(features)), np.float32)
    behaviour = behaviour_columns(records, starts, ends, as_of, features)
    clock = _temporal_columns(as_of)
    for column, feature in enumerate(features):
        if feature.name in behaviour:
            vectors[:, column] = behaviour[feature.name]
        elif feature.name in clock:
            vectors[:, column] = clock[feature.name]
        elif isinstance(feature, Location):
            vectors[:, column] = [_LOCATION[feature.name](moment) for moment in moments]
        elif isinstance(feature, Profile):
            vectors[:, column] = [_profile_number(feature, moment) for moment in moments]
    return vectors


def behaviour_columns(
    records: Records,
    starts: Ints,
    ends: Ints,
    as_of_ms: Ints,
    features: Sequence[Feature] = FEATURES,
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the window and recency features by name, float64[pairs] each."""
    codes, ts = type_codes(records), records["ts"]
    window_starts: dict[int, Ints] = {}
    columns: dict[str, npt.NDArray[np.float64]] = {}
    for feature in features:
        if isinstance(feature, Recency):
            columns[feature.name] = _recency(feature, codes, ts, starts, ends, as_of_ms)
        elif isinstance(feature, Window):
            seconds = feature.seconds
            if seconds not in window_starts:
                after = as_of_ms - seconds * 1_000
                window_starts[seconds] = first_not_before(ts, starts, ends, after)
            columns[feature.name] = _window(feature, codes, records, window_starts[seconds], ends)
    return columns


def first_not_before(ts: Ints, starts: Ints, ends: Ints, bounds: Ints) -> Ints:
    """Return, per pair, the first index in [start, end) whose `ts` >= bound, else end.

    A binary search over all pairs at once; each slice must be sorted.
    """
    low, high = starts.copy(), ends.copy()
    for _ in range(int((ends - starts).max(initial=0)).bit_length()):
        middle = (low + high) >> 1
        open_ = low < high
        before = open_ & (ts[np.minimum(middle, len(ts) - 1)] < bounds)
        low = np.where(before, middle + 1, low)
        high = np.where(open_ & ~before, middle, high)
    return low


def _running(values: Ints) -> Ints:
    totals = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=totals[1:])
    return totals


def _of_types(codes: npt.NDArray[np.uint32], feature: Window | Recency) -> npt.NDArray[np.bool_]:
    wanted = np.zeros(16, bool)
    wanted[[TYPE_CODES[kind] for kind in feature.types]] = True
    return wanted[codes]


def _window(
    feature: Window, codes: npt.NDArray[np.uint32], records: Records, starts: Ints, ends: Ints
) -> npt.NDArray[np.float64]:
    chosen = _of_types(codes, feature)
    counts = _running(chosen.astype(np.int64))
    count = counts[ends] - counts[starts]
    if feature.aggregation is Aggregation.COUNT:
        return count.astype(np.float64)
    values = _running(np.where(chosen, records["value"], 0).astype(np.int64))
    total = (values[ends] - values[starts]) / VALUE_SCALE
    if feature.aggregation is Aggregation.SUM:
        return total
    return np.where(count > 0, total / np.maximum(count, 1), feature.default)


def _recency(
    feature: Recency,
    codes: npt.NDArray[np.uint32],
    ts: Ints,
    starts: Ints,
    ends: Ints,
    as_of_ms: Ints,
) -> npt.NDArray[np.float64]:
    if not len(ts):
        return np.full(len(starts), feature.default)
    last = np.where(_of_types(codes, feature), np.arange(len(ts)), -1)
    np.maximum.accumulate(last, out=last)
    index = np.where(ends > starts, last[np.maximum(ends - 1, 0)], -1)
    elapsed = np.maximum(as_of_ms - ts[np.maximum(index, 0)], 0) / 1_000
    return np.where(index >= starts, np.minimum(elapsed, feature.default), feature.default)


def _temporal_columns(as_of_ms: Ints) -> dict[str, Ints]:
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
