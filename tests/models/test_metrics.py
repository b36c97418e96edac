"""Quality of lists, against figures worked out by hand."""

import numpy as np
import pytest

from models.metrics import best_new, difference, gini, quality

LOG2_3 = np.log2(3)


def _rows(*rows: int) -> np.ndarray:
    return np.array(rows, np.int64)


def _met(items: int) -> np.ndarray:
    """Return items that nobody had met."""
    return np.zeros(items, np.int64)


def test_ndcg_recall_hits_and_coverage() -> None:
    """One of two wanted items on the second place, and a list without a hit."""
    told = quality([_rows(4, 1), _rows(2, 3)], [_rows(1, 7), _rows(9)], _met(10))
    assert told.by_user.tolist() == pytest.approx([(1 / LOG2_3) / (1 + 1 / LOG2_3), 0])
    assert (told.recall, told.mrr, told.hit_rate, told.coverage) == (0.25, 0.25, 0.5, 0.4)
    assert told.ndcg_error == pytest.approx(told.by_user.std(ddof=1) / np.sqrt(2))


def test_only_ten_places_count() -> None:
    """A hit on the eleventh is none, and more than ten wanted items ask for no more than ten."""
    assert quality([np.arange(11)], [_rows(10)], _met(20)).ndcg == 0
    assert quality([np.arange(10)], [np.arange(15)], _met(20)).ndcg == pytest.approx(1)


def test_no_lists_are_no_quality() -> None:
    """Nobody to judge gives zeros."""
    assert quality([], [], _met(5)).told()["ndcg@10"] == 0


def test_differences_are_paired() -> None:
    """The error of a difference is that of each shopper's own difference."""
    one = quality([_rows(1), _rows(5)], [_rows(1), _rows(6)], _met(9))
    other = quality([_rows(2), _rows(5)], [_rows(1), _rows(6)], _met(9))
    assert difference(one, other) == pytest.approx((0.5, 0.5))


def test_best_new_leaves_out_what_is_blocked() -> None:
    """Blocked rows make room for the next, and equal scores go by row."""
    table = np.array([[1, 5, 5, 0], [4, 3, 2, 1]], np.float32)
    lists = best_new(table, _rows(0, 1, 1), [_rows(), _rows(0), _rows(0, 1, 2, 3)], 2)
    assert [each.tolist() for each in lists] == [[1, 2], [1, 2], []]


def test_what_nobody_knows_is_novel() -> None:
    """Seven of eight shoppers met one item, none the other: 3 bits, and hardly any."""
    met = _rows(6, 0)
    assert quality([_rows(1)], [_rows(1)], met).novelty == pytest.approx(3)
    assert quality([_rows(0)], [_rows(1)], met).novelty == pytest.approx(np.log2(8 / 7))


@pytest.mark.parametrize(
    ("counts", "expected"), [((5, 5, 5, 5), 0), ((0, 0, 0, 9), 0.75), ((0, 0), 0), ((1, 3), 0.25)]
)
def test_gini_of_exposures(counts: tuple[int, ...], expected: float) -> None:
    """Nothing where all are shown as often; nearly 1 where one is all that is shown."""
    assert gini(_rows(*counts)) == pytest.approx(expected)
