"""Running totals of several sets of events, packed into as few integers as hold them.

total of set 2 │ of set 1 │ of set 0      one int64 for each place between events
    63 bits, divided so that no difference that is asked for runs into its neighbour
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

_BITS = 63
_CODES = 16


class Totals:
    """How much of each set lies between two places in an array of events, exactly."""

    def __init__(
        self,
        codes: Ints,
        members: npt.NDArray[np.bool_],
        most: int,
        values: npt.NDArray[np.int32] | None = None,
    ) -> None:
        """Add up how many events are of each set, or their `values` int32[n] if given.

        `codes` int64[n] are the events' types, `members` bool[sets, 16] tells which of these are
        in a set. Places that are asked for are at most `most` events apart.
        """
        # A negative value is told as a large one: then a set has a word of its own.
        high = 1 if values is None else int(values.view(np.uint32).max(initial=0))
        self._packing = packing = _packed(members.tobytes(), (most * high).bit_length())
        self._length = len(codes) + 1
        totals = np.empty((len(packing.weights), self._length), np.int64)
        totals[:, 0] = 0
        for row, weights in zip(totals, packing.weights, strict=True):
            added = weights.take(codes)
            np.cumsum(added if values is None else added * values, out=row[1:])
        self._totals = totals.ravel()

    def between(self, sets: Ints, begins: Ints, ends: Ints) -> Ints:
        """Return the totals of `sets` int64[s] from `begins` int64[s, n] to `ends` int64[n]."""
        _, words, shifts, mask = self._packing
        first = words[sets] * self._length
        told = self._totals.take(first + ends)
        told -= self._totals.take(first + begins)
        told >>= shifts[sets]
        told &= mask
        return told


class _Packing(NamedTuple):
    """Where each set lies: `words` and `shifts` int64[sets, 1], what codes add to each word."""

    weights: Ints
    words: Ints
    shifts: Ints
    mask: int


@lru_cache(256)
def _packed(members: bytes, bits: int) -> _Packing:
    """Return how sets lie of which no total has more `bits`."""
    of_sets = np.frombuffer(members, bool).reshape(-1, _CODES)
    fields = max(_BITS // max(bits, 1), 1)
    words, places = np.divmod(np.arange(len(of_sets))[:, None], fields)
    shifts = places * bits
    weights = np.zeros((-(-len(of_sets) // fields), _CODES), np.int64)
    np.add.at(weights, words[:, 0], of_sets.astype(np.int64) << shifts)
    return _Packing(weights, words, shifts, (1 << bits) - 1 if fields > 1 else -1)
