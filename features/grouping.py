"""Bringing the same items of each shopper together, many shoppers at once."""

from typing import Final

import numpy as np
import numpy.typing as npt

from features.ids import Hashes

Ints = npt.NDArray[np.int64]

_HASH_BITS: Final = 48
ONE_KEY: Final = 1 << (64 - _HASH_BITS)
"""Shoppers whose number fits beside so much of a hash: so many are grouped the quick way."""


def grouped(items: Hashes, shoppers: Ints) -> tuple[Ints, Ints]:
    """Return an order in which each shopper's same items stand together, and where each begins.

    `shoppers` (int64[n], ascending, not empty) tell whose `items` uint64[n] are.

    One key is sorted five times as quickly as two. Three quarters of a hash make one with the
    shopper; where these are not enough to tell items or shoppers apart, it takes two after all.
    """
    if shoppers[-1] < ONE_KEY:
        keys = (shoppers << _HASH_BITS).view(np.uint64) | items >> np.uint64(64 - _HASH_BITS)
        order = keys.argsort()
        begins = _begins(keys.take(order))
        if not np.count_nonzero(_begins(items.take(order)) > begins):
            return order, begins.nonzero()[0]
    order = np.lexsort((items, shoppers))
    begins = _begins(items.take(order)) | _begins(shoppers.take(order))
    return order, begins.nonzero()[0]


def _begins(values: Hashes | Ints) -> npt.NDArray[np.bool_]:
    """Return whether another value stands before each, bool[n]."""
    begins = np.empty(len(values), bool)
    begins[:1] = True
    np.not_equal(values[1:], values[:-1], out=begins[1:])
    return begins
