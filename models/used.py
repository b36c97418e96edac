"""What a ranker was told of shoppers, for whoever keeps it beside their lists."""

from collections.abc import Sequence
from typing import NamedTuple

from features.computation.vector import FeatureVectors
from features.moments import Moment


class Used(NamedTuple):
    """What it was told of the shoppers of a batch, and for which moments."""

    moments: Sequence[Moment]
    features: FeatureVectors

    def values(self, row: int) -> list[float | None]:
        """Return the features of one shopper in the order declared, None for what was missing."""
        told: list[float | None] = self.features.values[row].tolist()
        for place in self.features.missing[row].nonzero()[0].tolist():
            told[place] = None
        return told


class UsedRow(NamedTuple):
    """What it was told of one shopper: a row of the batch's, which lives as long as this does."""

    used: Used
    row: int

    @property
    def as_of_ms(self) -> int:
        """Return the moment it was computed for."""
        return self.used.moments[self.row].as_of_ms

    def values(self) -> list[float | None]:
        """Return the features, see `Used.values`."""
        return self.used.values(self.row)
