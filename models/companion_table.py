"""What is bought together, as it is asked for: by one item, or by what lies in a basket."""

from collections.abc import Sequence

import numpy as np

from models.items import Mask
from models.parts import Companions
from models.reasons import Kind, because
from models.request import Listed


class CompanionTable:
    """The companions of items; columns may be mapped files."""

    def __init__(self, companions: Companions) -> None:
        """Look things up in `companions`."""
        self._told = companions

    def of(self, indices: Sequence[int], allowed: Mask, k: int) -> Listed:
        """Return at most `k` allowed companions of the items in these rows, best first.

        What goes with several of them has the sum of its scores; its source is the one with which
        it goes best.
        """
        told = self._told
        places = [slice(*told.offsets[index : index + 2].tolist()) for index in indices]
        of = np.repeat(indices, [place.stop - place.start for place in places])
        rows = np.concatenate([told.rows[place] for place in places])
        scores = np.concatenate([told.scores[place] for place in places])
        open_to = allowed[rows]
        of, rows, scores = of[open_to], rows[open_to], scores[open_to]
        order = np.lexsort((of, -scores, rows))
        of, rows, scores = of[order], rows[order], scores[order]
        found, first = np.unique(rows, return_index=True)
        if not len(found):
            return Listed([], [], [])
        summed = np.add.reduceat(scores, first)
        best = np.lexsort((found, -summed))[:k]
        sources = because(Kind.BOUGHT_WITH) + of[first][best]
        return Listed(found[best].tolist(), summed[best].tolist(), sources.tolist())
