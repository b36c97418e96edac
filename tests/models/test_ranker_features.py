"""What the ranker sees, one column after the other, against plain arithmetic."""

import numpy as np
import pytest

from features.definitions import FEATURE_NAMES
from models.ranker_features import (
    AFFINITIES,
    FIT,
    ITEM_STATS,
    RANKER_FEATURES,
    ItemSide,
    ShopperSide,
    directions_of,
    ranker_matrix,
)

ITEMS, HISTORY = 30, 4


@pytest.fixture
def sides() -> tuple[ItemSide, ShopperSide]:
    """Return items and a shopper of random numbers."""
    random = np.random.default_rng(5)
    codes = random.integers(-1, 3, (ITEMS, AFFINITIES)).astype(np.int32)
    stats = random.random((ITEMS, len(ITEM_STATS))).astype(np.float32)
    directions = directions_of(random.normal(size=(ITEMS, 8)).astype(np.float32))
    vector = random.random(len(FEATURE_NAMES)).astype(np.float32)
    shopper = ShopperSide(
        items=np.array([3, 9, 1, 20]),
        grades=np.array([1, 0.3, 1, 0.6], np.float32),
        vector=vector,
        popularity=random.random(ITEMS).astype(np.float32),
    )
    return ItemSide(directions, codes, stats), shopper


CANDIDATES = np.array([5, 9, 2, 28, 14])
SCORES = np.array([4, 3, 2, 1, -1], np.float32)


def _column(matrix: np.ndarray, name: str) -> np.ndarray:
    column: np.ndarray = matrix[:, RANKER_FEATURES.index(name)]
    return column


def test_the_matrix_is_what_a_graph_takes(sides: tuple[ItemSide, ShopperSide]) -> None:
    """float32, contiguous, a row for each candidate, all numbers."""
    matrix = ranker_matrix(*sides, CANDIDATES, SCORES)
    assert matrix.shape == (5, len(RANKER_FEATURES))
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    assert np.isfinite(matrix).all()
    assert len(set(RANKER_FEATURES)) == len(RANKER_FEATURES) == len(FIT) + len(ITEM_STATS) + 20


def test_similarities_are_those_of_the_history(sides: tuple[ItemSide, ShopperSide]) -> None:
    """Nearest by grade, mean by grade, and that of the latest item."""
    items, shopper = sides
    matrix = ranker_matrix(items, shopper, CANDIDATES, SCORES)
    for row, candidate in enumerate(CANDIDATES):
        near = [float(items.directions[candidate] @ items.directions[met]) for met in shopper.items]
        graded = np.array(near) * shopper.grades
        assert _column(matrix, "nearest")[row] == pytest.approx(graded.max(), abs=1e-5)
        mean = graded.sum() / shopper.grades.sum()
        assert _column(matrix, "mean_similarity")[row] == pytest.approx(mean, abs=1e-5)
        assert _column(matrix, "latest_similarity")[row] == pytest.approx(near[-1], abs=1e-5)


def test_affinity_is_the_share_of_liking(sides: tuple[ItemSide, ShopperSide]) -> None:
    """It counts grades of items with the same value; an unknown value is liked by nobody."""
    items, shopper = sides
    matrix = ranker_matrix(items, shopper, CANDIDATES, SCORES)
    for number in range(AFFINITIES):
        codes = items.codes[:, number]
        for row, candidate in enumerate(CANDIDATES):
            same = (codes[shopper.items] == codes[candidate]) & (codes[candidate] >= 0)
            expected = shopper.grades[same].sum() / shopper.grades.sum()
            assert _column(matrix, f"affinity_{number}")[row] == pytest.approx(expected, abs=1e-6)


def test_scores_ranks_and_popularity_go_with_the_candidate(
    sides: tuple[ItemSide, ShopperSide],
) -> None:
    """Order and scale of the scorer, and what the segment buys."""
    matrix = ranker_matrix(*sides, CANDIDATES, SCORES)
    np.testing.assert_array_equal(_column(matrix, "score"), SCORES)
    np.testing.assert_allclose(_column(matrix, "relative_score"), SCORES / 4)
    np.testing.assert_allclose(_column(matrix, "log_rank"), np.log1p(np.arange(5)), rtol=1e-6)
    shares = sides[1].popularity[CANDIDATES]
    np.testing.assert_array_equal(_column(matrix, "segment_popularity"), shares)


def test_the_shopper_is_the_same_in_every_row(sides: tuple[ItemSide, ShopperSide]) -> None:
    """Vector and length of history are repeated; item statistics are the candidate's."""
    items, shopper = sides
    matrix = ranker_matrix(items, shopper, CANDIDATES, SCORES)
    assert (matrix[:, -20:] == shopper.vector).all()
    assert (_column(matrix, "graded_items") == HISTORY).all()
    stats = matrix[:, len(FIT) : len(FIT) + len(ITEM_STATS)]
    np.testing.assert_array_equal(stats, items.stats[CANDIDATES])


def test_no_candidates_are_no_rows(sides: tuple[ItemSide, ShopperSide]) -> None:
    """All filtered away is not an error."""
    empty = np.empty(0, np.int64)
    matrix = ranker_matrix(*sides, empty, np.empty(0, np.float32))
    assert matrix.shape == (0, len(RANKER_FEATURES))


def test_zero_factors_have_no_direction() -> None:
    """A row of zeros stays, all others get unit length."""
    told = directions_of(np.array([[3, 4], [0, 0]], np.float32))
    np.testing.assert_allclose(told, np.array([[0.6, 0.8], [0, 0]], np.float32))
