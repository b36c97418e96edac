"""What the first stage is made of: histories side by side, user vectors, the best of many."""

from typing import NamedTuple

import numpy as np

from features.history import GRADED_ITEMS
from models.graphs import Graph
from models.parts import Floats, Rows

CANDIDATES = 100
"""How many go on to the ranker, as long as nobody asks for more."""

WIDTHS = (4, 16, GRADED_ITEMS)
"""History is padded to one of these, so that the graph meets few shapes."""


_BLOCK = 64
"""Columns of which only the best is looked at, where there are many."""


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
    longest = int(counts.max(initial=0))
    shape = count, next((each for each in WIDTHS if each >= longest), longest)
    items, liked = np.full(shape, -1, np.int64), np.zeros(shape, np.float32)
    place = np.arange(len(by)) - (np.cumsum(counts) - counts)[by]
    items[by, place] = rows
    liked[by, place] = grades
    return counts, items, liked


def best(scores: Floats, count: int) -> Chosen:
    """Return the best columns of each row of `scores`, best first, ties by column.

    There are `count`, or as many as there are columns.
    """
    rows, columns = scores.shape
    count = min(count, columns)
    if not count:
        return Chosen(np.empty((rows, 0), np.int64), np.empty((rows, 0), np.float32))
    least = _least(scores, count)
    # All that tie for the last place are good: the order below decides between them.
    found = np.flatnonzero(scores >= least[:, None])
    by, told = found // columns, scores.ravel()[found]
    order = np.lexsort((-told, by))
    begins = by.searchsorted(np.arange(rows))
    chosen = order[begins[:, None] + np.arange(count)]
    return Chosen(found[chosen] % columns, told[chosen])


def _least(scores: Floats, count: int) -> Floats:
    """Return float32[b]: what the best `count` of each row, and few others, are not below.

    As many blocks as are wanted hold one that is not below the least of their best.
    """
    blocks = scores.shape[1] // _BLOCK
    if blocks > count:
        scores = scores[:, : blocks * _BLOCK].reshape(len(scores), blocks, _BLOCK).max(axis=2)
    place = scores.shape[1] - count
    least: Floats = np.partition(scores, place, axis=1)[:, place]
    return least
