"""Consecutive rows of a training set, whose features come block by block, in any order."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from features.computation.vector import FeatureVectors
from features.declared import FEATURE_NAMES
from features.training.part import Block


@dataclass(frozen=True, slots=True)
class Chunk:
    """The features of rows from `start` on."""

    start: int
    vectors: FeatureVectors
    strangers: npt.NDArray[np.bool_]
    """Rows of shoppers of whom nothing was known at their moment, bool[n]."""

    @classmethod
    def empty(cls, start: int, rows: int) -> Self:
        """Return room for `rows` rows."""
        shape = rows, len(FEATURE_NAMES)
        vectors = FeatureVectors(np.empty(shape, np.float32), np.empty(shape, bool))
        return cls(start, vectors, np.empty(rows, bool))

    def __len__(self) -> int:
        """Return how many rows these are."""
        return len(self.strangers)

    def put(self, block: Block) -> None:
        """Take in the features of some of the rows."""
        places = block.rows - self.start
        self.vectors.values[places] = block.vectors.values
        self.vectors.missing[places] = block.vectors.missing
        self.strangers[places] = block.strangers
