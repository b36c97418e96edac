"""Filling lists place by place, for all shoppers of a group at once.

score ─ place ─ worth: 1 - ln place / ln (n + 1)   + ln factor, where boosted
                       │                           - likeness to what was not liked
                       └ best (or drawn) that no cap closes, unlike what stands above ─ next place

Worth is in places, so that it means the same whatever gave the scores.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.parts import Floats, Rows
from models.rules.chance import uniform

Mask = npt.NDArray[np.bool_]

_LEAST_WORTH = 1e-3
"""The share of worth that is left where variety is all: it decides among what is as unlike, and
what is not there stays that, since nothing times infinity is no number."""


class Contest(NamedTuple):
    """What competes for the places of each shopper's list; columns are items.

    `scores` float32[g, c] order them, -inf for what is not there; `lifts` float32[g, c] are added
    to the worth in units of ln place, `penalties` float32[g, c] taken off it. `reserved`
    int64[g, k] has the column that a place belongs to, -1 where it is free; such a column has no
    score. `categories` int64[g, c] with `caps` int64[categories], `directions` float32[g, c, rank]
    of length 1 or 0: None where they are not needed.
    """

    scores: Floats
    reserved: Rows
    lifts: Floats | None = None
    penalties: Floats | None = None
    categories: Rows | None = None
    caps: Rows | None = None
    directions: Floats | None = None
    diversity: float = 0.0
    strength: float | None = None
    seeds: tuple[int, ...] = ()


class Filled(NamedTuple):
    """Columns int64[g, k], -1 for a place that nothing is left for.

    `propensities` float32[g, k]: the probability of each at its place, given those above.
    `places` int64[g, c] are where the columns stood by score alone, from 1, `worth` float32[g, c]
    what else orders them but caps, variety and chance.
    """

    columns: Rows
    propensities: Floats
    places: Rows
    worth: Floats


def fill(contest: Contest) -> Filled:
    """Return who stands where."""
    order = np.argsort(-contest.scores, axis=1, kind="stable")
    places = _places(order)
    there = contest.scores > -np.inf
    unit = np.log(there.sum(axis=1, keepdims=True) + 1.0) + 1e-9
    worth = np.where(there, 1 - np.log(places) / unit, -np.inf).astype(np.float32)
    if contest.lifts is not None:
        worth += contest.lifts / unit
    if contest.penalties is not None:
        worth -= contest.penalties
    if contest.caps is None and contest.strength is None and not contest.diversity:
        columns = _in_order(worth, contest.reserved)
        return Filled(columns, np.ones(columns.shape, np.float32), places, worth)
    return Filled(*_one_by_one(contest, worth.astype(np.float32), unit, order), places, worth)


def _places(order: Rows) -> Rows:
    """Return the place of each column, from 1."""
    places = np.empty(order.shape, np.int64)
    np.put_along_axis(places, order, np.arange(1, order.shape[1] + 1)[None], axis=1)
    return places


def _in_order(worth: Floats, reserved: Rows) -> Rows:
    """Return the columns by worth, around those whose place is reserved."""
    order = np.argsort(-worth, axis=1, kind="stable")
    free = reserved < 0
    count = (worth > -np.inf).sum(axis=1, keepdims=True)
    turn = free.cumsum(axis=1) - 1
    wanted = np.take_along_axis(order, np.clip(turn, 0, order.shape[1] - 1), axis=1)
    return np.where(free, np.where(turn < count, wanted, -1), reserved)


def _one_by_one(
    contest: Contest, worth: Floats, unit: npt.NDArray[np.float64], order: Rows
) -> tuple[Rows, Floats]:
    """Return columns and propensities, each place filled with regard to those above."""
    shoppers, count = contest.reserved.shape
    every = np.arange(shoppers)
    columns = np.full((shoppers, count), -1)
    propensities = np.ones((shoppers, count), np.float32)
    left = _left(contest)
    nearest = np.zeros_like(worth)
    is_kept = contest.reserved >= 0
    if contest.diversity and contest.directions is not None:
        for place in np.flatnonzero(is_kept.any(axis=0)).tolist():
            _meet(contest, nearest, contest.reserved[:, place], is_kept[:, place])
    draws = None if contest.strength is None else uniform(contest.seeds, count)
    turns = np.maximum((~is_kept).cumsum(axis=1) - 1, 0)  # whoever has a place draws for nobody
    for place in range(count):
        value = worth
        if contest.diversity:
            kept_worth = max(1 - contest.diversity, _LEAST_WORTH) * worth
            value = kept_worth - contest.diversity * nearest
        if left is not None:
            value = np.where(left > 0, value, -np.inf)
        if contest.strength is None or draws is None:
            picked = value.argmax(axis=1)
        else:
            odds = value * unit / contest.strength
            picked, propensities[:, place] = _drawn(odds, order, draws[every, turns[:, place]])
        found = value[every, picked] > -np.inf
        kept = is_kept[:, place]
        columns[:, place] = np.where(kept, contest.reserved[:, place], np.where(found, picked, -1))
        propensities[kept | ~found, place] = 1
        taken = found & ~kept
        worth[every[taken], picked[taken]] = -np.inf
        if left is not None and contest.categories is not None:
            same = contest.categories == contest.categories[every, picked][:, None]
            left -= same & taken[:, None]
        if contest.diversity and contest.directions is not None:
            _meet(contest, nearest, picked, taken)
    return columns, propensities


def _left(contest: Contest) -> Rows | None:
    """Return how many more of each column's category may come, int64[g, c]."""
    if contest.caps is None or contest.categories is None:
        return None
    left = contest.caps.take(contest.categories)
    for place in range(contest.reserved.shape[1]):
        column = contest.reserved[:, place]
        kept = column >= 0
        if kept.any():
            category = np.take_along_axis(contest.categories, column[:, None], axis=1)
            left -= (contest.categories == category) & kept[:, None]
    return left


def _meet(contest: Contest, nearest: Floats, columns: Rows, are_new: Mask) -> None:
    """Raise `nearest`, how like each column is to what stands in the list, by new columns."""
    directions = contest.directions
    if directions is None or not are_new.any():
        return
    one = directions[np.arange(len(columns)), columns]
    likeness = (directions @ one[..., None])[..., 0]
    likeness[~are_new] = 0
    np.maximum(nearest, likeness, out=nearest)


def _drawn(
    worth: npt.NDArray[np.floating], order: Rows, draws: npt.NDArray[np.float64]
) -> tuple[Rows, npt.NDArray[np.float64]]:
    """Return a column of each row, drawn by e to the worth, and how probable it was.

    What draws run through is in the `order` of scores: that of columns says nothing.
    """
    worth = np.take_along_axis(worth, order, axis=1)
    most = worth.max(axis=1, keepdims=True)
    weights = np.exp(worth - np.where(np.isfinite(most), most, 0))
    sums = weights.cumsum(axis=1)
    total = sums[:, -1]
    picked = (sums <= (draws * total)[:, None]).sum(axis=1)
    picked = np.minimum(picked, worth.shape[1] - 1)
    every = np.arange(len(worth))
    chosen = weights[every, picked]
    return order[every, picked], np.divide(chosen, total, out=np.ones_like(total), where=total > 0)
