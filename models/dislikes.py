"""What is like an item that its shopper did not like stands lower."""

import numpy as np

from features.history import disliked
from models.batch import Batch
from models.items import Items
from models.parts import Floats, Rows
from models.personal import PersonalRanker
from models.rules.compiled import Arrangement

_MOST_DISLIKED = 20
"""Latest items of each shopper that others are compared with."""


def penalties(
    batch: Batch,
    items: Items,
    personal: PersonalRanker,
    arrangement: Arrangement,
    places: Rows,
    rows: Rows,
) -> Floats | None:
    """Return float32[g, c]: how like `rows` int64[g, c] are to what their shoppers did not like.

    `places` are the numbers of the shoppers. None where nobody has anything against anything.
    """
    dislikes = arrangement.rules.dislikes
    if not dislikes.any:
        return None
    told = disliked(batch.records, batch.by, arrangement.against, dislikes.stars_below)
    against = items.rows_of(told.items)
    known = against >= 0
    if not known.any():
        return None
    taken_off = np.zeros(rows.shape, np.float32)
    bounds = np.searchsorted(told.by[known], np.arange(len(batch) + 1))
    weights, against = told.weights[known], against[known]
    for number, place in enumerate(places.tolist()):
        of = slice(max(bounds[place], bounds[place + 1] - _MOST_DISLIKED), bounds[place + 1])
        if of.start < of.stop:
            likeness = _likeness(personal, rows[number], against[of])
            taken_off[number] = (likeness * weights[of]).max(axis=1)
    return taken_off


def _likeness(personal: PersonalRanker, rows: Rows, against: Rows) -> Floats:
    """Return float32[c, d]: how like items are to others, from 0 to 1."""
    likeness = personal.directions(rows) @ personal.directions(against).T
    likeness[rows[:, None] == against] = 1  # itself, whoever met it
    told: Floats = np.maximum(likeness, 0)
    return told
