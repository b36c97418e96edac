"""Places that belong to pinned items and to new ones, before any other is filled."""

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.parts import Rows
from models.rules.asked import Asked
from models.rules.compiled import Arrangement, Mask
from models.rules.contenders import Contenders


class Reserved(NamedTuple):
    """Places int64[g, k]: the column of who has each, -1 where it is free.

    `chances` say with which probability each shopper's new items were drawn.
    """

    places: Rows
    chances: list[float]


def reserve(
    arrangement: Arrangement, contenders: Contenders, is_open: Mask, asked: Sequence[Asked]
) -> tuple[Contenders, Reserved]:
    """Return the contenders with pinned and new items behind, and the places of these.

    `is_open` bool[g, pool] is what may be shown. What has a place competes for no other.
    """
    longest = max(each.k for each in asked)
    places = np.full((len(asked), longest), -1)
    extra: list[list[int]] = []
    chances = []
    for number, each in enumerate(asked):
        pinned = _pinned(arrangement, is_open[number], each)
        drawn, chance = _drawn(arrangement, is_open[number], each, pinned)
        chances.append(chance)
        items: list[int] = []
        for position, column in (pinned | drawn).items():
            places[number, position] = contenders.competing + len(items)
            items.append(int(arrangement.pool[column]))
        extra.append(items)
    width = max(map(len, extra))
    if width:
        behind = np.array([each + [-1] * (width - len(each)) for each in extra], np.int64)
        contenders = contenders.with_reserved(behind)
    return contenders, Reserved(places, chances)


def _pinned(arrangement: Arrangement, is_open: Mask, asked: Asked) -> dict[int, int]:
    """Return pinned items (columns of the pool) by place."""
    places = (arrangement.positions - asked.turn.after).tolist()
    return {
        place: column
        for place, column in zip(places, arrangement.pins.tolist(), strict=True)
        if 0 <= place < asked.k and is_open[column]
    }


def _drawn(
    arrangement: Arrangement, is_open: Mask, asked: Asked, pinned: dict[int, int]
) -> tuple[dict[int, int], float]:
    """Return new items (columns of the pool) by place, and how probable each of them was."""
    explore = arrangement.rules.explore
    if explore is None:
        return {}, 1.0
    fresh = np.flatnonzero(is_open[arrangement.fresh]) + arrangement.fresh.start
    free = [place for place in range(asked.k) if place not in pinned]
    chance = random.Random(asked.seed)  # noqa: S311 - no secret
    wanted = explore.share * asked.k
    count = int(wanted) + (chance.random() < wanted % 1)
    count = min(count, len(fresh), len(free))
    if not count:
        return {}, 1.0
    items = fresh[chance.sample(range(len(fresh)), count)].tolist()
    return dict(zip(chance.sample(free, count), items, strict=True)), count / len(fresh)
