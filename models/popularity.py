"""How much an item is wanted at a moment: grades that fade with a half-life."""

import numpy as np
import numpy.typing as npt

from models.dataset import Interactions
from models.parts import Floats

DAY_MS = 86_400_000
HALF_LIFE_DAYS = 180.0
"""Tastes last longer than fashions: measured best for groups of shoppers."""

RECENT_DAYS = 90.0
"""The usual half-life of what everybody wants."""

ALL_TIME_DAYS = 1e6
"""A half-life with which nothing fades."""


def weights_of(
    pairs: Interactions, at_ms: int, half_life_days: float = HALF_LIFE_DAYS
) -> npt.NDArray[np.float64]:
    """Return each pair's weight at a moment, float64[n]: its grade, halved each half-life."""
    days = (at_ms - pairs.ts) / DAY_MS
    weights: npt.NDArray[np.float64] = pairs.grades.astype(np.float64) * np.exp2(
        -days / half_life_days
    )
    return weights


def popularity(pairs: Interactions, at_ms: int, half_life_days: float = HALF_LIFE_DAYS) -> Floats:
    """Return float32[items]: the weight of all pairs of an item at a moment."""
    weights = weights_of(pairs, at_ms, half_life_days)
    return np.bincount(pairs.items, weights, minlength=pairs.item_count).astype(np.float32)
