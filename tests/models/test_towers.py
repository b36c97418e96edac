"""Towers over small matrices."""

import numpy as np
import pytest
from scipy import sparse

import models.towers as towers_module
from models.dataset import Interactions
from models.ease import ease_weights
from models.popularity import DAY_MS
from models.towers import (
    EASE_DAMPING,
    HALF_LIFE_DAYS,
    RANK,
    damped,
    faded,
    fit_towers,
)
from tests.support.histories import halves


@pytest.mark.parametrize("small", [200, 10])
def test_towers_are_the_best_of_their_rank(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Towers come as near to the weights as the singular values that are left out allow."""
    monkeypatch.setattr(towers_module, "_SMALL", small)
    grades = halves()
    scaled, scales = damped(grades, EASE_DAMPING)
    weights = ease_weights(scaled, 5.0)
    towers = fit_towers(grades, 5.0)
    assert towers.inputs.shape == towers.outputs.shape == (40, RANK)
    assert towers.inputs.dtype == towers.outputs.dtype == np.float32
    left_out = np.linalg.svd(weights, compute_uv=False)[RANK:]
    told = towers.inputs @ towers.outputs.T * scales / scales[:, None]
    error = np.linalg.norm(weights - told)
    assert error <= 1.0001 * np.linalg.norm(left_out) + 1e-5


@pytest.mark.parametrize(("kits", "size"), [(60, 5), (20, 20), (42, 10)])
def test_items_that_are_alike_are_told_apart(kits: int, size: int) -> None:
    """Where all is bought in kits of equal size many singular values are one: none is missed."""
    items, rank = kits * size, min(RANK, kits)
    places = np.repeat(np.arange(kits), size), np.arange(items)
    grades = sparse.csr_matrix((np.ones(items, np.float32), places), (kits, items))
    scaled, scales = damped(grades, EASE_DAMPING)
    weights, towers = ease_weights(scaled, 10.0), fit_towers(grades, 10.0)
    product = towers.inputs @ towers.outputs.T
    left_out = np.linalg.svd(weights, compute_uv=False)[rank:]
    error = np.linalg.norm(weights - product / scales[:, None] * scales)
    assert error == pytest.approx(np.linalg.norm(left_out), rel=1e-4)


@pytest.mark.parametrize("met", [0, 10])
def test_towers_of_fewer_directions_than_rank_repeat(met: int) -> None:
    """Where few of many items were met, what fills towers up to `RANK` repeats to the last bit."""
    grades = np.zeros((100, 300), np.float32)
    grades[:, :met] = np.random.default_rng(0).random((100, met)) < 0.4
    first, second = (fit_towers(sparse.csr_matrix(grades), 100.0) for _ in range(2))
    assert first.inputs.tobytes() == second.inputs.tobytes()
    assert first.outputs.tobytes() == second.outputs.tobytes()
    assert (first.inputs @ first.outputs.T).any() == (met > 0)


def test_full_damping_makes_columns_equally_long() -> None:
    """Up to the constant that keeps short ones from being blown up; none leaves all as they are."""
    grades = halves()
    squares = (grades.toarray() ** 2).sum(axis=0)
    scaled, scales = damped(grades, 1.0)
    np.testing.assert_allclose(scales, 1 / np.sqrt(squares + 1), rtol=1e-6)
    np.testing.assert_allclose(
        (scaled.toarray() ** 2).sum(axis=0), squares / (squares + 1), rtol=1e-5
    )
    unchanged, ones = damped(grades, 0.0)
    np.testing.assert_array_equal(unchanged.toarray(), grades.toarray())
    assert (ones == 1).all()


def test_grades_fade() -> None:
    """A grade of one half-life ago counts half of what it did."""
    days = np.array([0, HALF_LIFE_DAYS, 2 * HALF_LIFE_DAYS])
    at_ms = int(3 * HALF_LIFE_DAYS * DAY_MS)
    pairs = Interactions(
        np.zeros(3, np.int64),
        np.arange(3),
        np.array([1, 1, 0.5], np.float32),
        (at_ms - days * DAY_MS).astype(np.int64),
        1,
        3,
    )
    np.testing.assert_allclose(faded(pairs, at_ms).toarray(), [[1, 0.5, 0.125]], rtol=1e-6)


def test_scores_follow_taste() -> None:
    """Who likes even items gets even items."""
    towers = fit_towers(halves(), 5.0)
    likes = sparse.csr_matrix(([1.0, 1.0], ([0, 0], [2, 8])), (1, 40), np.float32)
    scores = towers.scores(likes)[0]
    assert scores[0::2].mean() > 5 * abs(scores[1::2].mean())


def test_large_catalogues_are_not_inverted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit no items² matrix is made, and scores follow taste all the same."""
    monkeypatch.setattr(towers_module, "DENSE_LIMIT", 30)
    monkeypatch.delattr(towers_module, "ease_weights")
    towers = fit_towers(halves(), 5.0)
    likes = sparse.csr_matrix(([1.0, 1.0], ([0, 0], [2, 8])), (1, 40), np.float32)
    scores = towers.scores(likes)[0]
    assert scores[0::2].mean() > 5 * abs(scores[1::2].mean())


def test_fewer_items_than_the_rank_are_fine() -> None:
    """The rank is bounded by what there is."""
    towers = fit_towers(halves(users=30, items=6), 5.0)
    assert towers.outputs.shape == (6, 6)


@pytest.mark.parametrize(("small", "limit"), [(200, 5_000), (10, 5_000), (10, 30)])
def test_equal_grades_give_equal_towers(
    small: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However they are taken apart, and nothing is left to chance."""
    monkeypatch.setattr(towers_module, "_SMALL", small)
    monkeypatch.setattr(towers_module, "DENSE_LIMIT", limit)
    one, other = fit_towers(halves(), 5.0), fit_towers(halves(), 5.0)
    np.testing.assert_array_equal(one.inputs, other.inputs)
    np.testing.assert_array_equal(one.outputs, other.outputs)
