"""Chance that comes again: numbers from a shopper, a page and a slot of time, and nothing else.

splitmix64 (Steele, Lea, Flood, OOPSLA 2014), a function of its seed and the number's place.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))
_UNUSED_BITS = np.uint64(11)
_ONE = float(1 << 53)


def uniform(seeds: Sequence[int], count: int) -> npt.NDArray[np.float64]:
    """Return float64[seeds, count] from 0 to below 1."""
    places = np.arange(1, count + 1, dtype=np.uint64) * _STEP
    mixed = np.array(seeds, np.uint64)[:, None] + places
    mixed = (mixed ^ mixed >> _SHIFTS[0]) * _MIX[0]
    mixed = (mixed ^ mixed >> _SHIFTS[1]) * _MIX[1]
    mixed ^= mixed >> _SHIFTS[2]
    drawn: npt.NDArray[np.float64] = (mixed >> _UNUSED_BITS).astype(np.float64) / _ONE
    return drawn
