"""Which new items have a place of their own in a list, and how probable each of them was.

new ─ may be shown ─ of a category that is nearly full: so many as it takes ─ some drawn ─ places

So no draw breaks a cap, and the probability of each is known.
"""

import random
from math import ceil

import numpy as np

from models.parts import Floats, Rows
from models.rules.asked import Asked
from models.rules.compiled import Arrangement, Mask


def drawn(
    arrangement: Arrangement, is_open: Mask, asked: Asked, pinned: dict[int, int]
) -> dict[int, tuple[int, float]]:
    """Return by place new items (columns of the pool), and how probable each was in the list.

    `is_open` bool[pool] is what may be shown, `pinned` has columns of the pool by place.
    """
    explore = arrangement.rules.explore
    if explore is None:
        return {}
    free = [place for place in range(asked.k) if place not in pinned]
    wanted = explore.share * asked.k
    chance = random.Random(asked.new_seed)  # noqa: S311 - no secret
    fresh = np.flatnonzero(is_open[arrangement.fresh]) + arrangement.fresh.start
    most = min(ceil(wanted), len(free))
    fresh, chances = _within_caps(arrangement, fresh, [*pinned.values()], most, chance)
    most = min(most, len(fresh))
    fewest = min(int(wanted), most)
    count = most if chance.random() < wanted % 1 else fewest
    if not count:
        return {}
    mean = fewest + (most - fewest) * (wanted % 1)
    chosen = chance.sample(range(len(fresh)), count)
    told = chances[chosen] * mean / len(fresh)
    items = zip(fresh[chosen].tolist(), told.tolist(), strict=True)
    return dict(zip(chance.sample(free, count), items, strict=True))


def _within_caps(
    arrangement: Arrangement, fresh: Rows, pinned: list[int], most: int, chance: random.Random
) -> tuple[Rows, Floats]:
    """Return new items of which any `most` keep to the caps, and how probable each was here."""
    chances = np.ones(len(fresh), np.float32)
    if arrangement.caps is None:
        return fresh, chances
    caps = arrangement.caps
    left = caps - np.bincount(arrangement.categories.take(pinned), minlength=len(caps))
    category = arrangement.categories.take(fresh)
    is_full = left < most
    for number in np.unique(category[is_full.take(category)]).tolist():
        own = np.flatnonzero(category == number)
        stay = min(max(int(left[number]), 0), len(own))
        chances[own] = 0
        chances[own[chance.sample(range(len(own)), stay)]] = stay / len(own)
    there = chances > 0
    return fresh[there], chances[there]
