"""How a list was scored, in two numbers: what drift of the scores is told by.

They are of the ten best of what was ranked, before a storefront's rules arrange it: of one list
always the same ten, however many were asked for.
"""

from collections.abc import Sequence

import numpy as np

from models.parts import Floats

LEVEL, SPREAD = "scores.level", "scores.spread"
SCORES = (LEVEL, SPREAD)
"""Names of columns; a feature has no full stop in its own."""

FIRST = 10
"""Scores of a list that count: the last ones of a hundred candidates are never seen."""


def summary(scores: Floats) -> tuple[float, float] | None:
    """Return level and spread of the scores float32[c] of one list, -inf for what is not there.

    The level is the mean of the `FIRST` best, the spread how far the first is above the last of
    them: only it decides the order. None where nothing was scored.
    """
    there = np.sort(scores[scores > -np.inf])[-FIRST:]
    if not len(there):
        return None
    return float(there.mean(dtype=np.float64)), float(there[-1] - there[0])


def columns(summaries: Sequence[tuple[float, float] | None]) -> dict[str, Floats]:
    """Return each of `SCORES` as float64[n], NaN where there is none."""
    told = [(np.nan, np.nan) if each is None else each for each in summaries]
    return dict(zip(SCORES, np.array(told, np.float64).reshape(-1, len(SCORES)).T, strict=True))
