"""The first stage: every item scored for every shopper of a batch, the best allowed kept."""

from collections.abc import Sequence

import numpy as np

from features.history import GRADED_ITEMS
from models.graphs import Graph
from models.items import Mask, Rows
from models.parts import Floats

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

    def scores(self, histories: Sequence[tuple[Rows, Floats]]) -> Floats:
        """Return float32[histories, items] for (item rows, grades) of each shopper."""
        longest = max(len(rows) for rows, _ in histories)
        width = next((each for each in WIDTHS if each >= longest), longest)
        items = np.full((len(histories), width), -1, np.int64)
        grades = np.zeros((len(histories), width), np.float32)
        for place, (rows, told) in enumerate(histories):
            items[place, : len(rows)] = rows
            grades[place, : len(rows)] = told
        return self._graph.run({"items": items, "grades": grades})


def best_allowed(scores: Floats, allowed: Mask, count: int = CANDIDATES) -> tuple[Rows, Floats]:
    """Return rows and scores of the `count` best allowed items, best first, ties by row."""
    rows = np.flatnonzero(allowed)
    told = scores[rows]
    if count < len(rows):
        least = np.partition(told, len(rows) - count)[len(rows) - count]
        good = told >= least  # all that tie for the last place: the order below decides
        rows, told = rows[good], told[good]
    order = np.argsort(-told, kind="stable")[:count]
    return rows[order], told[order]
