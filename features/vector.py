"""The feature vector: one vectorised function for one shopper online and for any table offline.

A *pair* is (the shopper's events so far, a moment). Events are time-sorted per shopper and
lie one shopper after the other in one array; a pair names its slice. Sums are taken in
integers, so the same pair gives the same bits whatever stands beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from features.definitions import FEATURES, Aggregation, Feature, Location, Profile, Recency, Window
from features.events import TYPE_CODES, VALUE_SCALE, EventType, Records, type_codes

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
    table = _EventTable(records)
    spans = sorted({each.seconds for each in features if isinstance(each, Window)})
    bounds = as_of_ms - np.array(spans, np.int64)[:, None] * 1_000
    opened = dict(zip(spans, first_not_before(records["ts"], starts, ends, bounds), strict=True))
    columns = {}
    for feature in features:
        if isinstance(feature, Recency):
            columns[feature.name] = _recency(feature, table, starts, ends, as_of_ms)
        elif isinstance(feature, Window):
            columns[feature.name] = _window(feature, table, opened[feature.seconds], ends)
    return columns


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
    """Running totals over an event array, made once for each set of event types asked for."""

    def __init__(self, records: Records) -> None:
        self.ts: Ints = records["ts"]
        self._values = records["value"].astype(np.int64)
        self._codes = type_codes(records)
        self._chosen = cache(self._choose)
        self.counts = cache(self._count)
        self.sums = cache(self._sum)

    def _choose(self, types: tuple[EventType, ...]) -> npt.NDArray[np.bool_]:
        wanted = np.zeros(16, bool)
        wanted[[TYPE_CODES[kind] for kind in types]] = True
        return wanted[self._codes]

    def _count(self, types: tuple[EventType, ...]) -> Ints:
        return _running(self._chosen(types))

    def _sum(self, types: tuple[EventType, ...]) -> Ints:
        return _running(self._values * self._chosen(types))

    def last(self, types: tuple[EventType, ...]) -> Ints:
        """Return, per event, the index of the latest one of `types` up to it, else -1."""
        chosen = self._chosen(types)
        return np.maximum.accumulate(np.where(chosen, np.arange(len(chosen)), -1))


def _running(values: npt.NDArray[np.generic]) -> Ints:
    totals = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=totals[1:])
    return totals


def _window(
    feature: Window, table: _EventTable, starts: Ints, ends: Ints
) -> npt.NDArray[np.float64]:
    counts = table.counts(feature.types)
    count = counts[ends] - counts[starts]
    if feature.aggregation is Aggregation.COUNT:
        return count.astype(np.float64)
    sums = table.sums(feature.types)
    total = (sums[ends] - sums[starts]) / VALUE_SCALE
    if feature.aggregation is Aggregation.SUM:
        return total
    return np.where(count > 0, total / np.maximum(count, 1), feature.default)


def _recency(
    feature: Recency, table: _EventTable, starts: Ints, ends: Ints, as_of_ms: Ints
) -> npt.NDArray[np.float64]:
    if not len(table.ts):
        return np.full(len(starts), feature.default)
    latest = table.last(feature.types)
    index = np.where(ends > starts, latest[np.maximum(ends - 1, 0)], -1)
    elapsed = np.maximum(as_of_ms - table.ts[np.maximum(index, 0)], 0) / 1_000
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
