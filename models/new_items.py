"""Vectors for items that nobody has met, from the items that are like them on paper.

An item without a pair has no vector of its own: nothing was learnt of it. It gets the mean of the
vectors of met items, each by the eighth power of the number of text attributes (category among
them) they have in common, so that the most alike count by far the most (item attributes for cold
items: Gantner et al., ICDM 2010; the mean in place of a fitted map was better here). Of its
statistics it gets the mean of the same. All of it is done in training; serving knows no new items.
"""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from features.catalogue import Catalogue
from models.parts import Floats, Rows
from models.ranker_features import ITEM_STATS
from models.segments import Attribute, Codes, text_attributes
from models.towers import Towers

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
    both = np.hstack((towers.inputs, towers.outputs))
    both[new], _ = _means(catalogue, new, old, both[old])
    inputs, outputs = np.split(both, 2, axis=1)
    return Towers(np.ascontiguousarray(inputs), np.ascontiguousarray(outputs))


def expected(stats: Floats, catalogue: Catalogue, met: Rows) -> Floats:
    """Return statistics float32[items, ITEM_STATS] with what is expected of items nobody met.

    That is what the items like them have, but for the price: a ranker that learnt from items with
    a past takes one without for the worst there is, or where less is more, for the best.
    """
    new, old = np.flatnonzero(met == 0), np.flatnonzero(met)
    if not len(new) or not len(old):
        return stats
    told = stats.copy()
    means, is_like_some = _means(catalogue, new, old, stats[old])
    told[new[is_like_some]] = means[is_like_some]
    told[:, _PRICE] = stats[:, _PRICE]
    return told


def _means(
    catalogue: Catalogue, new: Rows, old: Rows, values: Floats
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the mean float32[new, k] of `values` [old, k] of the items like each, and if any is.

    Items with the same attributes are of a kind; kinds are compared, and there are fewer. What no
    item of both has, a name say, tells no kinds apart.
    """
    attributes = text_attributes(catalogue)
    shared = (_shared(each.codes, new, old) for each in attributes)
    codes = np.column_stack([np.zeros(len(catalogue), np.int64), *shared])
    kinds, kind = np.unique(codes, axis=0, return_inverse=True)
    kind = kind.ravel()
    told = _told(kinds[:, 1:], attributes)
    known, place = np.unique(kind[old], return_inverse=True)
    asked, asking = np.unique(kind[new], return_inverse=True)
    of_kind = sparse.csr_matrix((np.ones(len(old)), (place, np.arange(len(old)))))
    sums, counts, others = of_kind @ values, np.bincount(place), told[known].T.tocsc()
    means, totals = np.zeros((len(asked), values.shape[1]), np.float32), np.zeros(len(asked))
    for start in range(0, len(asked), _CHUNK):
        some = slice(start, start + _CHUNK)
        in_common = (told[asked[some]] @ others).toarray()
        weights = np.square(np.square(np.square(in_common)))  # less sharp, they are not found
        totals[some] = weights @ counts
        means[some] = (weights @ sums) / np.maximum(totals[some], 1)[:, None]
    return means[asking], totals[asking] > 0


def _shared(codes: Codes, new: Rows, old: Rows) -> Codes:
    """Return the codes int32[items] of values, -1 for those that no new or no old item has."""
    return np.where(np.isin(codes, np.intersect1d(codes[new], codes[old])), codes, -1)


def _told(kinds: Rows, attributes: list[Attribute]) -> sparse.csr_matrix:
    """Return which kind has which value, float64[kinds, values]: 1 where it has.

    `kinds` int64[kinds, attributes] are codes, -1 for no value.
    """
    sizes = [len(each.names) for each in attributes]
    begins = np.cumsum([0, *sizes[:-1]]) if sizes else np.empty(0, np.int64)
    rows, columns = np.nonzero(kinds >= 0)
    places = rows, kinds[rows, columns] + begins[columns]
    return sparse.csr_matrix((np.ones(len(rows)), places), (len(kinds), sum(sizes)))
