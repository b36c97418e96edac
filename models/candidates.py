"""The first stage: every item scored for every shopper of a batch, the best allowed kept."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from features.history import GRADED_ITEMS
from models.errors import ModelsError
from models.graphs import Graph
from models.items import Mask, Rows
from models.parts import Floats

CANDIDATES = 100
"""How many go on to the ranker."""

_WIDTHS = (4, 16, GRADED_ITEMS)
"""History is padded to one of these, so that the graph meets few shapes."""


class Scorer:
    """The two-tower graph: graded history in, a score for every item out."""

    def __init__(self, model: bytes, items: int) -> None:
        """Open `model`, which must score `items` items."""
        inputs = {
            "items": ("tensor(int64)", (None, None)),
            "grades": ("tensor(float)", (None, None)),
        }
        self._graph = Graph("scorer.onnx", model, inputs, (None, items))

    def scores(self, histories: Sequence[tuple[Rows, Floats]]) -> Floats:
        """Return float32[histories, items] for (item rows, grades) of each shopper."""
        longest = max(len(rows) for rows, _ in histories)
        width = next((each for each in _WIDTHS if each >= longest), longest)
        items = np.full((len(histories), width), -1, np.int64)
        grades = np.zeros((len(histories), width), np.float32)
        for place, (rows, told) in enumerate(histories):
            items[place, : len(rows)] = rows
            grades[place, : len(rows)] = told
        return self._graph.run({"items": items, "grades": grades})


def best_allowed(
    scores: npt.NDArray[np.float32], allowed: Mask, count: int = CANDIDATES
) -> tuple[Rows, Floats]:
    """Return rows and scores of the `count` best allowed items, best first, ties by row.

    Raises `ModelsError` where a score is no number.
    """
    if not np.isfinite(scores).all():
        raise ModelsError("scorer.onnx gave a score that is no number")
    masked = np.where(allowed, scores, -np.inf)
    if count < len(masked):
        threshold = np.partition(masked, len(masked) - count)[len(masked) - count]
        rows = np.flatnonzero((masked >= threshold) & allowed)
    else:
        rows = np.flatnonzero(allowed)
    order = np.argsort(-masked[rows], kind="stable")[:count]
    best: Rows = rows[order]
    return best, scores[best]
