"""The first stage: every item scored for every shopper of a batch, the best kept."""

import numpy as np

from features.history import GRADED_ITEMS
from models.graphs import Graph
from models.parts import Floats, Rows

CANDIDATES = 100
"""How many go on to the ranker, as long as nobody asks for more."""

WIDTHS = (4, 16, GRADED_ITEMS)
"""History is padded to one of these, so that the graph meets few shapes."""


class Scorer:
    """The two-tower graph: graded history in, a score for every item out."""

    def __init__(self, model: bytes, items: int) -> None:
        """Open `model`; raise `BundleError` unless it scores `items` items."""
        inputs = {
            "items": ("tensor(int64)", (None, None)),
            "grades": ("tensor(float)", (None, None)),
        }
        self._graph = Graph("scorer.onnx", model, inputs, (None, items))

    def scores(self, items: Rows, grades: Floats) -> Floats:
        """Return float32[b, items] for histories as `padded` gives them."""
        return self._graph.run({"items": items, "grades": grades})


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


def best(scores: Floats, count: int) -> tuple[Rows, Floats]:
    """Return rows int64[b, c] and scores float32[b, c] of each row's best, best first, ties by row.

    c is `count`, or as many as there are columns. What has no score (-inf) may stand behind.
    """
    rows, columns = scores.shape
    count = min(count, columns)
    least = np.partition(scores, columns - count, axis=1)[:, columns - count]
    # All that tie for the last place are good: the order below decides between them.
    found = np.flatnonzero(scores >= least[:, None])
    by, told = found // columns, scores.ravel()[found]
    order = np.lexsort((-told, by))
    begins = by.searchsorted(np.arange(rows))
    chosen = order[begins[:, None] + np.arange(count)]
    return found[chosen] % columns, told[chosen]
