"""Which events each pair of (shopper, moment) sees, without a copy of any."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Slices:
    """Places in an array of events, int64[n] each; a shopper's lie together, in order of time.

    Pair i sees the events before `ends[i]`: of the types that are kept long those from `starts[i]`
    on, of all others those from `recents[i]` on, which is not smaller.
    """

    starts: Ints
    recents: Ints
    ends: Ints

    @classmethod
    def whole(cls, starts: Ints, ends: Ints) -> Self:
        """Return the slices of pairs who see all events of any type between two places."""
        return cls(starts, starts, ends)

    @property
    def are_whole(self) -> bool:
        """Tell whether all types are seen from the same places on."""
        return self.recents is self.starts

    def __len__(self) -> int:
        """Return how many pairs there are."""
        return len(self.ends)
