"""Rows of features as they are compared: who asked, when, and the value of each column."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.ids import Hashes

SLOTS = 168
"""Hours of a week."""

HOUR_MS = 3_600_000
_MONDAY = 72
"""Hours from Monday's first to the first of 1970, a Thursday."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What was seen: `shoppers` uint64[n], hashes or numbers, tell only who is the same.

    `slots` int64[n] are hours of the week in UTC, Monday's first being 0. Of `values` each has n
    entries: numbers float64[n], NaN where missing, or words object[n], None where missing.
    """

    shoppers: Hashes
    slots: npt.NDArray[np.int64]
    values: Mapping[str, npt.NDArray[Any]]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.shoppers)

    def take(self, chosen: npt.NDArray[Any]) -> "Rows":
        """Return some of the rows, by place or by mask."""
        values = {name: each[chosen] for name, each in self.values.items()}
        return Rows(self.shoppers[chosen], self.slots[chosen], values)


def slots_of(at_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the hour of the week in UTC of each moment int64[n]."""
    slots: npt.NDArray[np.int64] = (at_ms // HOUR_MS + _MONDAY) % SLOTS
    return slots
