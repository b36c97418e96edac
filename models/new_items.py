"""Vectors for items that nobody has met, from the items that are like them on paper.

An item without a pair has no vector of its own: nothing was learnt of it. It gets the mean of the
vectors of met items, each by the eighth power of the number of text attributes (category among
them) they have in common, so that the most alike count by far the most (item attributes for cold
items: Gantner et al., ICDM 2010; the mean in place of a fitted map was better here). Of its
statistics it gets the mean of the same. All of it is done in training; serving knows no new items.
"""

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from features.catalogue import Catalogue
from models.ease import Towers
from models.parts import Floats, Rows
from models.ranker_features import ITEM_STATS
from models.segments import Attribute, text_attributes

SHARPNESS = 8
"""Power of the number of common attributes; less sharp, new items are not found among all."""

_PRICE = ITEM_STATS.index("log_price")
_CHUNK = 128


def introduce(towers: Towers, catalogue: Catalogue, met: Rows) -> Towers:
    """Return the towers with a vector for each item that nobody met.

    `met` int64[items] says how many met each; what has nothing in common with any
    points nowhere.
    """
    new, old = np.flatnonzero(met == 0), np.flatnonzero(met)
    if not len(new) or not len(old):
        return towers
    inputs, outputs = towers.inputs.copy(), towers.outputs.copy()
    for rows, likeness in _likeness(catalogue, new, old):
        inputs[rows] = likeness @ inputs[old]
        outputs[rows] = likeness @ outputs[old]
    return Towers(inputs, outputs)


def expected(stats: Floats, catalogue: Catalogue, met: Rows) -> Floats:
    """Return statistics float32[items, ITEM_STATS] with what is expected of items nobody met.

    That is what the items like them have, but for the price: a ranker that learnt from items with
    a past takes one without for the worst there is, or where less is more, for the best.
    """
    new, old = np.flatnonzero(met == 0), np.flatnonzero(met)
    if not len(new) or not len(old):
        return stats
    told = stats.copy()
    for rows, likeness in _likeness(catalogue, new, old):
        is_like_some = likeness.any(axis=1)
        told[rows[is_like_some]] = likeness[is_like_some] @ stats[old]
    told[:, _PRICE] = stats[:, _PRICE]
    return told


def _likeness(catalogue: Catalogue, new: Rows, old: Rows) -> Iterator[tuple[Rows, Floats]]:
    """Yield rows of new items and how much each of `old` counts for them, 1 in all or 0."""
    told = _told(text_attributes(catalogue))
    others = told[old].T.tocsc()
    for start in range(0, len(new), _CHUNK):
        rows = new[start : start + _CHUNK]
        weights = (told[rows] @ others).toarray() ** SHARPNESS
        total = weights.sum(axis=1, keepdims=True)
        yield rows, (weights / np.maximum(total, 1)).astype(np.float32)


def _told(attributes: list[Attribute]) -> sparse.csr_matrix:
    """Return which item has which value, float64[items, values]: 1 where it has."""
    blocks = []
    for each in attributes:
        (rows,) = np.nonzero(each.codes >= 0)
        places = rows, each.codes[rows]
        shape = len(each.codes), len(each.names)
        blocks.append(sparse.csr_matrix((np.ones(len(rows)), places), shape))
    return sparse.hstack(blocks).tocsr()
