"""The point-in-time join: what was known of each shopper at a moment, and nothing later."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.definitions import FEATURES, Feature
from features.eventlog import EventLog, empty_records, rings
from features.events import Records
from features.history import merge_rings
from features.vector import Ints, Moment, Vectors, feature_vectors


@dataclass(frozen=True, slots=True)
class PointInTime:
    """Shoppers at moments: pair i's events are `records[starts[i]:ends[i]]`, all before it."""

    records: Records
    starts: Ints
    ends: Ints
    moments: tuple[Moment, ...]

    def of(self, pair: int) -> Records:
        """Return the events that pair number `pair` may see, oldest first."""
        return self.records[self.starts[pair] : self.ends[pair]]

    def vectors(self, features: Sequence[Feature] = FEATURES) -> Vectors:
        """Return the feature vectors, float32[pairs, features]."""
        return feature_vectors(self.records, self.starts, self.ends, self.moments, features)


def known_at(log: EventLog, users: Sequence[int], moments: Sequence[Moment]) -> PointInTime:
    """Return what the online store held of each shopper just before the moment beside it."""
    states = [_state(log.of(user), moment) for user, moment in zip(users, moments, strict=True)]
    ends = np.cumsum([len(state) for state in states], dtype=np.int64)
    records = np.concatenate(states) if states else empty_records()
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1])) if states else ends
    return PointInTime(records, starts, ends, tuple(moments))


def _state(records: Records, moment: Moment) -> Records:
    before = np.searchsorted(records["ts"], moment.as_of_ms)
    return merge_rings(*rings(records[:before]))
