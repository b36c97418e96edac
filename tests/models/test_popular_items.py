"""What may be called popular, and with whom."""

import numpy as np
import pytest

from features.events import EventType
from models.dataset import interactions
from models.popular_items import popular_items
from tests.support.histories import DAY_MS, Happened, log_of, wines

NOW = 1_000
ITEMS = 10


def bought(item: int, *shoppers: int) -> list[Happened]:
    """Return that these bought an item today."""
    return [Happened(each, item, NOW) for each in shoppers]


def rated(item: int, stars: float, *shoppers: int) -> list[Happened]:
    """Return that these gave an item so many stars today."""
    return [Happened(each, item, NOW, EventType.RATING, stars) for each in shoppers]


def popular(groups: list[int], happened: list[Happened]) -> list[list[int]]:
    """Return the items that are popular in each group, the first group and the second."""
    catalogue = wines(ITEMS)
    pairs = interactions(log_of(happened, len(groups), catalogue), catalogue)
    told = popular_items(pairs, np.array(groups, np.int32), 2, NOW * DAY_MS)
    assert told.shape == (2, 2)
    assert told.dtype == np.uint8
    rows = np.unpackbits(told, axis=1, count=ITEMS, bitorder="little")
    return [np.flatnonzero(row).tolist() for row in rows]


THREE_EACH = [0, 0, 0, 1, 1, 1, -1]
"""Shoppers 0 to 2 are in the first group, 3 to 5 in the second, 6 in none."""


@pytest.mark.parametrize(
    ("happened", "first", "second"),
    [
        pytest.param([], [], [], id="nobody came"),
        pytest.param(bought(9, 0, 1), [9], [], id="two bought it"),
        pytest.param(bought(8, 0), [], [], id="one bought it"),
        pytest.param([*bought(1, 0), *bought(1, 0)], [], [], id="one bought it twice"),
        pytest.param(bought(1, 3, 4, 5), [], [1], id="the others bought it"),
        pytest.param(bought(1, 0, 3, 6), [], [], id="one of each group bought it"),
        pytest.param(rated(1, 2.5, 0, 1, 2), [], [], id="few stars of all"),
        pytest.param([*rated(1, 5, 0), *rated(1, 2, 1, 2)], [], [], id="many stars of one only"),
        pytest.param(rated(1, 4, 0, 1), [1], [], id="many stars of two"),
        pytest.param(
            [*bought(1, 0, 1, 2), *[Happened(each, 2, NOW - 1_000) for each in (0, 1)]],
            [1],
            [],
            id="less than the mean item, since long ago",
        ),
        pytest.param(
            [each for item in range(ITEMS) for each in bought(item, 0, 1)],
            [*range(ITEMS)],
            [],
            id="all as much as the mean item",
        ),
    ],
)
def test_own_shoppers_make_an_item_popular(
    happened: list[Happened], first: list[int], second: list[int]
) -> None:
    """Two of them at least, and no less than the mean item: others' liking is no evidence."""
    assert popular(THREE_EACH, happened) == [first, second]
