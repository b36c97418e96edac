"""Places that belong to pinned items and to new ones, before any other is filled."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.parts import Floats, Rows
from models.rules.asked import Asked
from models.rules.compiled import Arrangement, Mask
from models.rules.contenders import Contenders
from models.rules.new_items import drawn


class Reserved(NamedTuple):
    """Places int64[g, k]: the column of who has each, -1 where it is free.

    `chances` float32[g, k] say how probable a new item was in the list; elsewhere they are 1.
    """

    places: Rows
    chances: Floats


def reserve(
    arrangement: Arrangement, contenders: Contenders, is_open: Mask, asked: Sequence[Asked]
) -> tuple[Contenders, Reserved]:
    """Return the contenders with pinned and new items behind, and the places of these.

    `is_open` bool[g, pool] is what may be shown. What has a place competes for no other.
    """
    longest = max(each.k for each in asked)
    places = np.full((len(asked), longest), -1)
    chances = np.ones(places.shape, np.float32)
    extra: list[list[int]] = []
    for number, each in enumerate(asked):
        pinned = _pinned(arrangement, is_open[number], each)
        items = {**pinned}
        for position, new in drawn(arrangement, is_open[number], each, pinned).items():
            items[position], chances[number, position] = new
        for column, position in enumerate(items):
            places[number, position] = contenders.competing + column
        extra.append(arrangement.pool.take([*items.values()]).tolist() if items else [])
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
