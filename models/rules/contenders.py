"""Who may stand in a list."""

from typing import NamedTuple

import numpy as np

from models.parts import Floats, Rows


class Contenders(NamedTuple):
    """Items of g lists, as columns: their rows int64[g, c] and scores float32[g, c].

    The first `competing` columns do; those behind have a place that is reserved, and no score.
    """

    rows: Rows
    scores: Floats
    competing: int

    def with_reserved(self, behind: Rows) -> "Contenders":
        """Return them with items int64[g, r] behind, -1 for none, which compete no more."""
        scores = self.scores.copy()
        scores[(self.rows[:, :, None] == behind[:, None]).any(axis=2)] = -np.inf
        nothing = np.full(behind.shape, -np.inf, np.float32)
        return Contenders(
            np.concatenate((self.rows, behind), axis=1),
            np.concatenate((scores, nothing), axis=1),
            self.competing,
        )
