"""What is popular with whom, as reasons say it: a bit for each item.

Lists of small groups lean on what everybody wants, so a place in one proves nothing. What a group's
own shoppers liked does: two of them at least, and no less than they like the mean item.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from features.history import LOW_GRADE
from models.dataset import Interactions
from models.parts import Bits
from models.popularity import HALF_LIFE_DAYS, weights_of

LEAST_LIKING = 2
"""So many shoppers make an item popular."""


def popular_items(
    pairs: Interactions,
    groups: npt.NDArray[np.integer[Any]],
    count: int,
    at_ms: int,
    half_life_days: float = HALF_LIFE_DAYS,
) -> Bits:
    """Return what is popular in each of `count` groups; `groups` int[users], -1 for none.

    Few stars count for nothing, other grades as they do for lists.
    """
    whose = groups[pairs.users]
    is_told = (whose >= 0) & (pairs.grades > LOW_GRADE)
    places, shape = (whose[is_told], pairs.items[is_told]), (count, pairs.item_count)
    weights = weights_of(pairs, at_ms, half_life_days)[is_told]
    liked = sparse.csr_matrix((weights, places), shape)
    liking = sparse.csr_matrix((np.ones(len(weights), np.int32), places), shape)
    means = np.asarray(liked.sum(axis=1)).ravel() / max(pairs.item_count, 1)
    is_popular = liking.data >= LEAST_LIKING
    is_popular &= liked.data >= np.repeat(means, np.diff(liked.indptr))
    mask = sparse.csr_matrix((is_popular, liked.indices, liked.indptr), shape).toarray()
    return np.packbits(mask, axis=1, bitorder="little")
