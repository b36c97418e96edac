"""Popular items of segments, in the order of their popularity."""

import numpy as np
import pytest

from models.parts import Bits, Segments
from models.reasons import IN_RANGE, POPULAR, popular_in
from models.segment_table import GLOBAL, SegmentTable


@pytest.mark.parametrize("items", [1, 8_192, 30_001])
def test_all_items_are_in_order(items: int) -> None:
    """Also of more than are sorted at once; of those as popular the first comes first."""
    random = np.random.default_rng(7)
    popularity = random.integers(0, 50, (1, items)).astype(np.float32)
    none = np.zeros(0, np.uint64), np.zeros(0, np.uint16)
    table = SegmentTable(Segments(("global",), popularity, np.zeros(items, np.int32), *none))
    listed = table.popular(GLOBAL, np.ones(items, np.bool_), items)
    assert listed.rows == sorted(range(items), key=lambda row: (-popularity[0, row], row))
    assert listed.scores == popularity[0, listed.rows].tolist()


POPULARITY = np.array([[5, 3, 0, 0], [9, 1, 0, 8]], np.float32)
"""What everybody buys, and what a segment does: both means are between what sells and the rest."""

TOLD = np.packbits(np.array([[0, 1, 0, 0], [0, 0, 1, 1]], np.bool_), axis=1, bitorder="little")


@pytest.mark.parametrize(
    ("told", "everybody", "segment"),
    [
        pytest.param(
            None,
            [POPULAR, POPULAR, IN_RANGE, IN_RANGE],
            [popular_in(1), POPULAR, IN_RANGE, popular_in(1)],
            id="what sells is popular where training did not tell",
        ),
        pytest.param(
            TOLD,
            [IN_RANGE, POPULAR, IN_RANGE, IN_RANGE],
            [IN_RANGE, POPULAR, popular_in(1), popular_in(1)],
            id="as training told, whatever sells",
        ),
    ],
)
def test_one_rule_says_what_is_popular(
    told: Bits | None, everybody: list[int], segment: list[int]
) -> None:
    """In lists of what is popular, and of what is ranked: in the segment, or else to everybody."""
    none = np.zeros(0, np.uint64), np.zeros(0, np.uint16)
    segments = Segments(("global", "red"), POPULARITY, np.zeros(4, np.int32), *none, popular=told)
    table = SegmentTable(segments)
    ranked = table.sources(np.array([[0], [1]]), np.arange(4))
    assert ranked.tolist() == [everybody, segment]
    for row, sources in enumerate((everybody, segment)):
        listed = table.popular(row, np.ones(4, np.bool_), 4)
        own = [*sources] if row == GLOBAL else [sources[0], sources[1], everybody[2], sources[3]]
        assert listed.sources == [own[item] for item in listed.rows]


def test_nothing_is_popular_where_nobody_bought() -> None:
    """All items sell as much as the mean item, which is nothing."""
    none = np.zeros(0, np.uint64), np.zeros(0, np.uint16)
    nothing = np.zeros((1, 3), np.float32)
    table = SegmentTable(Segments(("global",), nothing, np.zeros(3, np.int32), *none))
    assert table.popular(GLOBAL, np.ones(3, np.bool_), 3).sources == [IN_RANGE] * 3
