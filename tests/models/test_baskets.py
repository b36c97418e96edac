"""What is bought together, against counts taken basket by basket."""

from itertools import combinations
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.eventlog import NO_RECORDS, EventLog
from features.events import EventType
from models import baskets
from models.baskets import GAP_MS, KEPT, LARGEST, SHRINKAGE, companions
from models.companion_table import CompanionTable
from models.parts import Companions
from models.reasons import Kind, because
from models.request import Listed
from tests.support.histories import DAY_MS, Happened, log_of, wines

ITEMS = 12
GAP_DAYS = GAP_MS / DAY_MS
EVERYTHING = np.ones(ITEMS, bool)

Baskets = list[set[int]]


def bought(some: Baskets, shoppers: int = 3) -> EventLog:
    """Return a log in which shopper after shopper buys a basket, days apart from the last."""
    happened = [
        Happened(number % shoppers, item, 100.0 + number)
        for number, basket in enumerate(some)
        for item in sorted(basket)
    ]
    return log_of(happened, shoppers, wines(ITEMS))


def expected(some: Baskets) -> dict[tuple[int, int], float]:
    """Return the score of each ordered pair that has one."""
    told = {}
    counted = [basket for basket in some if 1 < len(basket) <= LARGEST]
    for one, other in combinations(range(ITEMS), 2):
        counts = [sum(item in basket for basket in counted) for item in (one, other)]
        together = sum({one, other} <= basket for basket in counted)
        if together and together * len(counted) >= counts[0] * counts[1]:
            score = together / sqrt(counts[0] * counts[1]) * together / (together + SHRINKAGE)
            told[one, other] = told[other, one] = score
    return told


def as_pairs(told: Companions) -> dict[tuple[int, int], float]:
    """Return the score of each pair that is kept."""
    of = np.repeat(np.arange(len(told.offsets) - 1), np.diff(told.offsets)).tolist()
    return dict(zip(zip(of, told.rows.tolist(), strict=True), told.scores.tolist(), strict=True))


@given(st.lists(st.sets(st.integers(0, ITEMS - 1), max_size=5), max_size=30), st.integers(1, 5))
def test_scores_are_those_of_the_baskets(some: Baskets, rows: int) -> None:
    """Every pair, whatever the number of items counted at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baskets, "_ROWS", rows)
        told = companions(bought(some), wines(ITEMS))
    pairs = expected(some)
    if told is None:
        assert pairs == {}
        return
    assert as_pairs(told) == pytest.approx(pairs, rel=1e-6)
    for item in range(ITEMS):
        scores = told.scores[told.offsets[item] : told.offsets[item + 1]].tolist()
        assert scores == sorted(scores, reverse=True)


def test_what_comes_later_is_another_basket() -> None:
    """Purchases belong together as long as none waits longer than the gap, and to one shopper."""
    near, far = 100 + GAP_DAYS, 100 + 2 * GAP_DAYS + 0.01
    happened = [Happened(0, 0, 100), Happened(0, 1, near), Happened(0, 2, far), Happened(1, 3, 100)]
    told = companions(log_of(happened, 2, wines(ITEMS)), wines(ITEMS))
    assert told is not None
    assert set(as_pairs(told)) == {(0, 1), (1, 0)}


def test_only_purchases_count() -> None:
    """What was looked at together was not bought together."""
    happened = [Happened(0, item, 100, EventType.CLICK) for item in range(4)]
    assert companions(log_of(happened, 1, wines(ITEMS)), wines(ITEMS)) is None


def test_nothing_is_learnt_from_nothing() -> None:
    """No events, no items, single purchases, items of no catalogue: no companions, no error."""
    nobody = EventLog((), np.zeros(1, np.int64), NO_RECORDS)
    assert companions(nobody, wines(ITEMS)) is None
    assert companions(nobody, wines(0)) is None
    assert companions(bought([{1}, {2}]), wines(ITEMS)) is None
    assert companions(bought([{8, 9}, {10, 11}]), wines(8)) is None


def test_a_resellers_list_is_no_basket() -> None:
    """Baskets larger than any household's are left out."""
    items = LARGEST + 1
    happened = [Happened(0, item, 100) for item in range(items)]
    assert companions(log_of(happened, 1, wines(items)), wines(items)) is None
    told = companions(log_of(happened[:-1], 1, wines(items)), wines(items))
    assert told is not None
    assert np.diff(told.offsets).tolist() == [KEPT] * LARGEST + [0]


def test_a_basket_adds_up() -> None:
    """What goes with two of its items beats what goes better with one; none of it is shown again.

    The source is the item with which it goes best.
    """
    offsets = np.array([0, 2, 4, *[4] * (ITEMS - 2)])
    rows = np.array([5, 6, 7, 5], np.int32)
    table = CompanionTable(Companions(offsets, rows, np.array([0.3, 0.2, 0.5, 0.4], np.float32)))
    told = table.of([0, 1], EVERYTHING, 10)
    assert told.rows == [5, 7, 6]
    assert told.scores == pytest.approx([0.7, 0.5, 0.2])
    assert told.sources == [because(Kind.BOUGHT_WITH, row) for row in (1, 1, 0)]
    but_seven = EVERYTHING.copy()
    but_seven[[5, 7]] = False
    assert table.of([0, 1], but_seven, 10).rows == [6]
    assert table.of([0, 1], EVERYTHING, 1).rows == [5]
    assert table.of([2], EVERYTHING, 3) == Listed([], [], [])


def test_equal_logs_make_equal_companions() -> None:
    """Ties are broken by item: the same bytes each time."""
    some = [{1, 2, 3}, {1, 4}, {2, 5}]
    one, other = (companions(bought(some), wines(ITEMS)) for _ in range(2))
    assert one is not None
    assert other is not None
    for name in ("offsets", "rows", "scores"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
