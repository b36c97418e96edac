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
    room = _room(arrangement, fresh, [*pinned.values()], most)
    there = len(fresh) if room is None else int(room.sum())
    most = min(most, there)
    fewest = min(int(wanted), most)
    count = most if chance.random() < wanted % 1 else fewest
    if not count:
        return {}
    chosen = np.array(chance.sample(range(there), count))
    chances = np.full(count, (fewest + (most - fewest) * (wanted % 1)) / there)
    if room is not None:
        chosen, within = _by_category(arrangement, fresh, room, chosen, chance)
        chances *= within
    items = zip(fresh[chosen].tolist(), chances.tolist(), strict=True)
    return dict(zip(chance.sample(free, count), items, strict=True))


def _room(arrangement: Arrangement, fresh: Rows, pinned: list[int], most: int) -> Rows | None:
    """Return of how many new items of each category any `most` keep to the caps, int64[categories].

    None where that is all of them.
    """
    caps = arrangement.caps
    if caps is None:
        return None
    left = caps - np.bincount(arrangement.categories.take(pinned), minlength=len(caps))
    if (left >= most).all():
        return None
    sizes = np.bincount(arrangement.categories.take(fresh), minlength=len(caps))
    return np.where(left < most, np.clip(left, 0, sizes), sizes)


def _by_category(
    arrangement: Arrangement, fresh: Rows, room: Rows, chosen: Rows, chance: random.Random
) -> tuple[Rows, Floats]:
    """Return new items for the places that were `chosen` among all that categories have room for.

    With how probable each was among those of its category that there was room for.
    """
    category = arrangement.categories.take(fresh)
    of = room.cumsum().searchsorted(chosen, side="right")
    items, within = np.empty(len(of), np.int64), np.empty(len(of), np.float32)
    for number in np.unique(of).tolist():
        own = np.flatnonzero(category == number)
        places = np.flatnonzero(of == number)
        items[places] = own[chance.sample(range(len(own)), len(places))]
        within[places] = room[number] / len(own)
    return items, within
