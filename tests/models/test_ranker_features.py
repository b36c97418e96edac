"""What the ranker sees, one column after the other, against plain arithmetic."""

from typing import Any

import numpy as np
import pytest

from models.ranker_features import (
    AFFINITIES,
    FIT,
    ITEM_STATS,
    RANKER_FEATURES,
    SHOPPER,
    ItemSide,
    ShopperSide,
    ranker_matrix,
)

ITEMS = 30


@pytest.fixture
def sides() -> tuple[ItemSide, ShopperSide]:
    """Return items and a shopper of random numbers."""
    random = np.random.default_rng(5)
    codes = random.integers(-1, 3, (ITEMS, AFFINITIES)).astype(np.int32)
    stats = random.random((ITEMS, len(ITEM_STATS))).astype(np.float32)
    factors = random.normal(size=(ITEMS, 8)).astype(np.float32)
    shoppers = ShopperSide(
        items=np.array([[3, 9, 1, 20], [7, 2, -1, -1]]),
        grades=np.array([[1, 0.3, 1, 0.6], [0.3, 1, 0, 0]], np.float32),
        vectors=random.random((2, len(SHOPPER))).astype(np.float32),
    )
    inputs, outputs = random.normal(size=(2, ITEMS, 8)).astype(np.float32)
    return ItemSide.of(factors, (inputs, outputs), codes, stats), shoppers


CANDIDATES = np.array([[5, 9, 2, 28, 14], [1, 3, 7, 0, 29]])
SCORES = np.array([[4, 3, 2, 1, -1], [9, 6, 3, 0, -3]], np.float32)
POPULARITY = np.linspace(0, 1, 10, dtype=np.float32).reshape(2, 5)
GIVEN: tuple[Any, ...] = (CANDIDATES, SCORES, POPULARITY)


def _column(matrix: np.ndarray, name: str) -> np.ndarray:
    column: np.ndarray = matrix[..., RANKER_FEATURES.index(name)]
    return column


def _history(shoppers: ShopperSide, place: int) -> tuple[np.ndarray, np.ndarray]:
    """Return one shopper's items and grades, without what stands behind them."""
    there = shoppers.items[place] >= 0
    return shoppers.items[place][there], shoppers.grades[place][there]


def test_the_matrix_is_what_a_graph_takes(sides: tuple[ItemSide, ShopperSide]) -> None:
    """float32, contiguous, a row for each candidate, all numbers."""
    matrix = ranker_matrix(*sides, *GIVEN)
    assert matrix.shape == (2, 5, len(RANKER_FEATURES))
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    assert np.isfinite(matrix).all()
    assert (
        len(set(RANKER_FEATURES))
        == len(RANKER_FEATURES)
        == len(FIT) + len(ITEM_STATS) + len(SHOPPER)
    )


def test_similarities_are_those_of_the_history(sides: tuple[ItemSide, ShopperSide]) -> None:
    """Nearest by grade, mean by grade, and that of the latest item."""
    items, shoppers = sides
    matrix = ranker_matrix(items, shoppers, *GIVEN)
    for place, candidate in np.ndenumerate(CANDIDATES):
        history, grades = _history(shoppers, place[0])
        directions = items.directions(np.arange(ITEMS))
        near = [float(directions[candidate] @ directions[met]) for met in history]
        graded = np.array(near) * grades
        assert _column(matrix, "nearest")[place] == pytest.approx(graded.max(), abs=1e-5)
        mean = graded.sum() / grades.sum()
        assert _column(matrix, "mean_similarity")[place] == pytest.approx(mean, abs=1e-5)
        assert _column(matrix, "latest_similarity")[place] == pytest.approx(near[-1], abs=1e-5)


def test_implicit_scores_count_what_was_met_whatever_its_grade(
    sides: tuple[ItemSide, ShopperSide],
) -> None:
    """The sum over all that was met, its share of the largest, and its rank."""
    items, shoppers = sides
    inputs, outputs = items.implicit
    matrix = ranker_matrix(items, shoppers, *GIVEN)
    for place, candidates in enumerate(CANDIDATES):
        history, _ = _history(shoppers, place)
        told = outputs[candidates] @ inputs[history].sum(axis=0)
        scores = _column(matrix, "implicit_score")[place]
        np.testing.assert_allclose(scores, told, rtol=1e-4, atol=1e-5)
        relative = _column(matrix, "relative_implicit_score")[place]
        np.testing.assert_allclose(relative, told / np.abs(told).max(), rtol=1e-4, atol=1e-5)
        ranks = [(told > each).sum() for each in told]
        assert _column(matrix, "implicit_rank")[place].tolist() == ranks


def test_affinity_is_the_share_of_liking(sides: tuple[ItemSide, ShopperSide]) -> None:
    """It counts grades of items with the same value; an unknown value is liked by nobody."""
    items, shoppers = sides
    matrix = ranker_matrix(items, shoppers, *GIVEN)
    for number in range(AFFINITIES):
        codes = items.codes[:, number]
        for place, candidate in np.ndenumerate(CANDIDATES):
            history, grades = _history(shoppers, place[0])
            same = (codes[history] == codes[candidate]) & (codes[candidate] >= 0)
            expected = grades[same].sum() / grades.sum()
            told = _column(matrix, f"affinity_{number}")[place]
            assert told == pytest.approx(expected, abs=1e-6)


def test_scores_ranks_and_popularity_go_with_the_candidate(
    sides: tuple[ItemSide, ShopperSide],
) -> None:
    """Order and scale of the scorer, and what the segment buys."""
    matrix = ranker_matrix(*sides, *GIVEN)
    np.testing.assert_array_equal(_column(matrix, "score"), SCORES)
    np.testing.assert_allclose(_column(matrix, "relative_score"), SCORES / [[4], [9]])
    ranks = np.log1p(np.arange(5))
    np.testing.assert_allclose(_column(matrix, "log_rank"), [ranks, ranks], rtol=1e-6)
    np.testing.assert_array_equal(_column(matrix, "segment_popularity"), POPULARITY)


def test_the_shopper_is_the_same_in_every_row(sides: tuple[ItemSide, ShopperSide]) -> None:
    """Vector and length of history are repeated; item statistics are the candidate's."""
    items, shoppers = sides
    matrix = ranker_matrix(items, shoppers, *GIVEN)
    assert (matrix[..., -len(SHOPPER) :] == shoppers.vectors[:, None]).all()
    told = np.broadcast_to(np.log([[4], [2]]), CANDIDATES.shape)
    np.testing.assert_allclose(_column(matrix, "log_graded_items"), told, rtol=1e-6)
    stats = matrix[..., len(FIT) : len(FIT) + len(ITEM_STATS)]
    np.testing.assert_array_equal(stats, items.stats[CANDIDATES])


def test_no_candidates_are_no_rows(sides: tuple[ItemSide, ShopperSide]) -> None:
    """All filtered away is not an error."""
    matrix = ranker_matrix(*sides, *(each[:, :0] for each in GIVEN))
    assert matrix.shape == (2, 0, len(RANKER_FEATURES))


def test_zero_factors_have_no_direction() -> None:
    """A row of zeros stays, all others get unit length."""
    factors = np.array([[3, 4], [0, 0]], np.float32)
    items = ItemSide.of(
        factors, (factors, factors), np.empty((2, 0), np.int32), np.empty((2, 0), np.float32)
    )
    told = items.directions(np.arange(2))
    np.testing.assert_allclose(told, np.array([[0.6, 0.8], [0, 0]], np.float32), rtol=1e-6)
