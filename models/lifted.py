"""Boosted items beside the candidates: few are among them, and none may be lifted unseen."""

import numpy as np

from models.candidates import Chosen, best
from models.items import Mask
from models.parts import Floats, Rows
from models.personal import PersonalRanker
from models.rules.compiled import Arrangement
from models.segment_table import SegmentTable

_LIFTED = 20
"""Boosted items beside the candidates of each list, those that fit best."""


def with_lifted(
    personal: PersonalRanker,
    arrangement: Arrangement,
    users: Floats,
    is_open: Mask,
    candidates: Chosen,
) -> Chosen:
    """Return the candidates, and beside them the boosted items that fit `users` best.

    `is_open` bool[g, pool] is what may be shown.
    """
    lifted = arrangement.pool[arrangement.lifted]
    if not len(lifted):
        return candidates
    scores = personal.fit(users, lifted)
    scores[~is_open[:, arrangement.lifted]] = -np.inf
    scores[(candidates.scores == -np.inf).all(axis=1)] = -np.inf  # nothing to rank by
    scores[_are_there(arrangement, candidates.rows, scores.shape)] = -np.inf
    chosen = best(scores, _LIFTED)
    return Chosen(
        np.concatenate((candidates.rows, lifted[chosen.rows]), axis=1),
        np.concatenate((candidates.scores, chosen.scores), axis=1),
    )


def _are_there(arrangement: Arrangement, rows: Rows, shape: tuple[int, ...]) -> Mask:
    """Return bool[g, lifted]: which boosted items are among the candidates."""
    told = np.zeros(shape, np.bool_)
    column = arrangement.column.take(rows) - arrangement.lifted.start
    are_lifted = (column >= 0) & (column < shape[1])
    by, _ = np.nonzero(are_lifted)
    told[by, column[are_lifted]] = True
    return told


def most_popular_lifted(
    segments: SegmentTable,
    segment: int,
    arrangement: Arrangement,
    is_open: Mask,
    beside: list[int],
) -> Rows:
    """Return the boosted items that sell best in a segment, without those that are `beside`.

    `is_open` bool[pool] is what may be shown.
    """
    lifted = arrangement.pool[arrangement.lifted][is_open[arrangement.lifted]]
    lifted = np.setdiff1d(lifted, beside)
    popularity = segments.popularity(segment, lifted)
    return lifted[np.argsort(-popularity, kind="stable")[:_LIFTED]]
