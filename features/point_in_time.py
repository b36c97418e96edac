"""The point-in-time join: what was known of each shopper at a moment, and nothing later."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.declared import FEATURES
from features.eventlog import EventLog, rings
from features.events import Records
from features.feature import Feature
from features.history import merge_rings
from features.moments import Ints, Moment
from features.vector import FeatureVectors, feature_vectors


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

    def vectors(self, features: Sequence[Feature] = FEATURES) -> FeatureVectors:
        """Return the features of every pair."""
        return feature_vectors(self.records, self.starts, self.ends, self.moments, features)


def known_at(log: EventLog, users: Sequence[int], moments: Sequence[Moment]) -> PointInTime:
    """Return what the online store held of each shopper just before the moment beside it."""
    records, pairs = merge_rings(
        [_rings(log.of(user), moment) for user, moment in zip(users, moments, strict=True)]
    )
    sizes = np.bincount(pairs, minlength=len(users))
    ends = np.cumsum(sizes)
    return PointInTime(records, ends - sizes, ends, tuple(moments))


def _rings(records: Records, moment: Moment) -> tuple[Records, Records]:
    return rings(records[: np.searchsorted(records["ts"], moment.as_of_ms)])
