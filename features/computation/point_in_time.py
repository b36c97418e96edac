"""The point-in-time join: what was known of each shopper at a moment, and nothing later.

Known is what the online store held: the latest events of each kind of ring, by their stamps at
arrival. Nothing is copied and nothing is done for each pair: a million of them cost as many numpy
calls as one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.computation.slices import Ints, Slices
from features.computation.vector import Bools, FeatureVectors, feature_vectors, first_not_before
from features.declared import FEATURES
from features.eventlog import EventLog
from features.events import TYPE_CODES, Records, type_codes
from features.feature import Feature
from features.history import HISTORY_CAP, HISTORY_TYPES, RECENT_CAP, RECENT_TYPES
from features.moments import Moment, Moments

_LONG, _SHORT = ([TYPE_CODES[kind] for kind in kinds] for kinds in (HISTORY_TYPES, RECENT_TYPES))


@dataclass(frozen=True, slots=True)
class PointInTime:
    """What pairs of shoppers and moments see of `records`."""

    records: Records
    slices: Slices
    moments: Moments

    def of(self, pair: int) -> Records:
        """Return the events that pair number `pair` may see, oldest first."""
        start, recent, end = (
            int(each[pair]) for each in (self.slices.starts, self.slices.recents, self.slices.ends)
        )
        old, new = self.records[start:recent], self.records[recent:end]
        return np.concatenate((old[_is(old, _LONG)], new[_is(new, _SHORT)]))

    def vectors(self, features: Sequence[Feature] = FEATURES) -> FeatureVectors:
        """Return the features of every pair."""
        return feature_vectors(self.records, self.slices, self.moments, features)


def known_at(log: EventLog, users: Sequence[int] | Ints, moments: Sequence[Moment]) -> PointInTime:
    """Return what the online store held of each shopper just before the moment beside it."""
    return joined(log.records, log.offsets, np.array(users, np.int64), Moments.of(moments))


def joined(
    records: Records, offsets: Ints, users: Ints, moments: Moments, until_ms: Ints | None = None
) -> PointInTime:
    """Return what was known of `users` int64[n] at `moments`, or `until_ms` int64[n] if given.

    Shopper number u has `records[offsets[u]:offsets[u + 1]]`, sorted by (stamp, turn, tag).
    """
    until_ms = moments.as_of_ms if until_ms is None else until_ms
    first, behind = offsets[users], offsets[users + 1]
    ts: Ints = np.ascontiguousarray(records["ts"])
    ends = first_not_before(ts, first, behind, until_ms[None])[0]
    kept = _is(records, _SHORT)
    last = _latest(kept, first, ends, 1)
    ends = np.where(last < ends, last + 1, first)  # the last event is one that is kept
    recents = _latest(kept, first, ends, RECENT_CAP)
    starts = np.minimum(_latest(_is(records, _LONG), first, ends, HISTORY_CAP), recents)
    return PointInTime(records, Slices(starts, recents, ends), moments)


def _latest(chosen: Bools, first: Ints, ends: Ints, cap: int) -> Ints:
    """Return where the last `cap` chosen events up to `ends` begin; `ends` where none are."""
    counts = np.concatenate((np.zeros(1, np.int64), np.cumsum(chosen)))
    places = np.concatenate((np.flatnonzero(chosen), np.zeros(1, np.int64)))
    begin = np.maximum(counts[ends] - cap, counts[first])
    return np.where(begin < counts[ends], places[np.minimum(begin, len(places) - 1)], ends)


def _is(records: Records, codes: list[int]) -> Bools:
    table = np.zeros(16, bool)
    table[codes] = True
    chosen: Bools = table.take(type_codes(records))
    return chosen
