"""What a ranker was told of shoppers, for whoever keeps it beside their lists."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from features.computation.vector import FeatureVectors
from features.moments import Moment
from models.parts import Floats

_NAN = np.float32(np.nan)


class Used(NamedTuple):
    """What it was told of the shoppers of a batch, and for which moments.

    `values` is float32[b, features] in the order declared, NaN for what was missing.
    """

    moments: Sequence[Moment]
    values: Floats

    @classmethod
    def of(cls, moments: Sequence[Moment], features: FeatureVectors) -> "Used":
        """Return it without the defaults that stand for what was missing."""
        return cls(moments, np.where(features.missing, _NAN, features.values))


class UsedRow(NamedTuple):
    """What it was told of one shopper: a row of the batch's, which lives as long as this does."""

    used: Used
    row: int

    @property
    def as_of_ms(self) -> int:
        """Return the moment it was computed for."""
        return self.used.moments[self.row].as_of_ms

    @property
    def values(self) -> Floats:
        """Return the features: float32[features], NaN for what was missing."""
        told: Floats = self.used.values[self.row]
        return told
