"""What the first stage is made of: histories side by side, user vectors, the best of many."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.history import GRADED_ITEMS
from models.graphs import Graph
from models.parts import Floats, Rows

CANDIDATES = 100
"""How many go on to the ranker, as long as nobody asks for more."""

WIDTHS = (4, 16, GRADED_ITEMS)
"""History is padded to one of these, so that the graph meets few shapes."""

_ALL_BUT_SIGN = np.int32(0x7FFFFFFF)
_AT_ONCE = 1 << 13
"""Scores that are put in order as quickly as they are made fewer."""


class Chosen(NamedTuple):
    """Item rows int64[b, c] and scores float32[b, c], best first.

    Where there are not enough, what stands behind has no score (-inf).
    """

    rows: Rows
    scores: Floats


class Tower:
    """The user tower: graded history in, a vector for each shopper out."""

    def __init__(self, model: bytes, inputs: Floats) -> None:
        """Open `model`; raise `BundleError` unless it makes vectors of `inputs`."""
        rank = inputs.shape[1]
        wanted = {
            "items": ("tensor(int64)", (None, None)),
            "grades": ("tensor(float)", (None, None)),
            "inputs": ("tensor(float)", (None, rank)),
        }
        self._graph = Graph("tower.onnx", model, wanted, (None, rank))
        self._inputs = inputs

    def users(self, items: Rows, grades: Floats) -> Floats:
        """Return float32[b, rank] for histories as `padded` gives them."""
        return self._graph.run({"items": items, "grades": grades, "inputs": self._inputs})


def padded(by: Rows, rows: Rows, grades: Floats, count: int) -> tuple[Rows, Rows, Floats]:
    """Return histories side by side: how long each is, and their items and grades.

    `by` int64[n] (ascending) says whose of `count` shoppers the item `rows` and `grades` are.
    int64[count], int64[count, h] with -1 behind, float32[count, h] with 0 behind; h is one of
    `WIDTHS` as long as that is enough.
    """
    counts = np.bincount(by, minlength=count)
    longest = max(counts.tolist(), default=0)
    shape = count, next((each for each in WIDTHS if each >= longest), longest)
    items, liked = np.full(shape, -1, np.int64), np.zeros(shape, np.float32)
    place = np.arange(len(by)) - (counts.cumsum() - counts)[by]
    items[by, place] = rows
    liked[by, place] = grades
    return counts, items, liked


def best(scores: Floats, count: int) -> Chosen:
    """Return the best columns of each row of `scores` (float32, no NaN), best first.

    There are `count`, or as many as there are columns; ties are in the order of columns.
    """
    rows, columns = scores.shape
    count = min(count, columns)
    if not count:
        return Chosen(np.empty((rows, 0), np.int64), np.empty((rows, 0), np.float32))
    least = _least(scores, count)
    # All that tie for the last place are good: the order below decides between them.
    (found,) = (scores >= least[:, None]).ravel().nonzero()
    if len(found) > 2 * count * rows:
        found = _first_of_ties(scores, least, count)
    by = found // columns
    order = ((by << 32) - _ranked(scores.take(found))).argsort(kind="stable")
    begins = by.searchsorted(np.arange(rows))
    chosen = found.take(order.take(begins[:, None] + np.arange(count)))
    return Chosen(chosen % columns, scores.take(chosen))


def _first_of_ties(scores: Floats, least: Floats, count: int) -> Rows:
    """Return the places of just the best `count` of each row: of what ties, the first columns.

    Where a shopper's scores are all 0, or a filter leaves less than is wanted, all the rest tie.
    """
    good = scores > least[:, None]
    for row, wanted in enumerate((count - good.sum(axis=1)).tolist()):
        good[row, np.flatnonzero(scores[row] == least[row])[:wanted]] = True
    return np.flatnonzero(good)


def _ranked(scores: Floats) -> npt.NDArray[np.int32]:
    """Return whole numbers in the order of `scores`: one such key sorts faster than two.

    The bits of positive floats are in their order; those of negative ones in the reverse.
    """
    bits = (scores + 0).view(np.int32)  # there is a negative zero, equal to the other
    ranked: npt.NDArray[np.int32] = bits ^ ((bits >> 31) & _ALL_BUT_SIGN)
    return ranked


def _least(scores: Floats, count: int) -> Floats:
    """Return float32[b]: what the best `count` of each row, and few others, are not below.

    Where there are many, a row is folded: of two columns the better one stays. Of as many as are
    wanted then, each stands for one of the row that is not below the least of them.
    """
    while scores.size > _AT_ONCE and (half := scores.shape[1] // 2) >= 8 * count:
        scores = np.maximum(scores[:, :half], scores[:, half : 2 * half])
    place = scores.shape[1] - count
    least: Floats = np.partition(scores, place, axis=1)[:, place]
    return least
