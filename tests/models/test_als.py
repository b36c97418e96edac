"""Implicit ALS, beside those who wrote it first."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import spearmanr

import models.als as als_module
from models.als import ALPHA, REGULARISATION, Doubles, folding_in, item_factors
from models.towers import RANK, Method, fit_towers


def _grades(seed: int = 0, users: int = 120, items: int = 40) -> sparse.csr_matrix:
    random = np.random.default_rng(seed)
    liked = random.random((users, items)) < np.where(
        np.arange(users)[:, None] % 4 == np.arange(items) % 4, 0.5, 0.02
    )
    return sparse.csr_matrix(liked, dtype=np.float32)


def _scores(grades: sparse.csr_matrix, items: Doubles) -> Doubles:
    return np.asarray(grades @ folding_in(items) @ items.T, np.float64)


def test_factors_predict_as_those_of_implicit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose confidence is alpha times a grade where ours is that and one."""
    implicit = pytest.importorskip("implicit.cpu.als", reason="needs the extra of baselines")
    monkeypatch.setattr(als_module, "ROUNDS", 50)
    grades, rank = _grades(), 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads, and of what it passes to itself
        theirs = implicit.AlternatingLeastSquares(
            factors=rank,
            regularization=REGULARISATION,
            alpha=ALPHA + 1,
            iterations=50,
            num_threads=1,
            random_state=0,
            dtype=np.float64,
        )
        theirs.fit(grades, show_progress=False)
    told = _scores(grades, item_factors(grades, rank)).ravel()
    expected = _scores(grades, theirs.item_factors.astype(np.float64)).ravel()
    assert spearmanr(told, expected).statistic > 0.99


def test_a_round_comes_nearer_to_the_least_of_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough steps solve what each row is a system of, exactly."""
    grades = _grades(users=30, items=12)
    monkeypatch.setattr(als_module, "STEPS", 12)
    random = np.random.default_rng(1)
    users, items = random.standard_normal((30, 4)), random.standard_normal((12, 4))
    surer = (grades * ALPHA).astype(np.float64)
    told = als_module._improved(users, items, surer)
    for row, each in enumerate(surer.toarray()):
        weighed = items.T * (1 + each)
        expected = np.linalg.solve(
            weighed @ items + REGULARISATION * np.eye(4), weighed @ (each > 0)
        )
        np.testing.assert_allclose(told[row], expected, atol=1e-8)


@pytest.mark.parametrize("block", [1, 50])
def test_blocks_change_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row is a system of its own, whatever it is looked at with."""
    whole = item_factors(_grades(), 8)
    monkeypatch.setattr(als_module, "BLOCK", block)
    np.testing.assert_allclose(item_factors(_grades(), 8), whole, rtol=1e-6, atol=1e-9)


def test_what_nobody_met_is_left_out() -> None:
    """Large catalogues are mostly that: it costs nothing, and says nothing."""
    grades, more = _grades(items=40), _grades(items=40).copy()
    more.resize((120, 5_000))
    factors = item_factors(more, 8)
    assert not factors[40:].any()
    np.testing.assert_allclose(factors[:40], item_factors(grades, 8), rtol=1e-9)


@pytest.mark.parametrize(
    "grades",
    [
        _grades(),
        sparse.csr_matrix(np.kron(np.eye(60), np.ones((1, 5))), dtype=np.float32),
        sparse.csr_matrix(np.ones((40, 1)), dtype=np.float32),
        sparse.csr_matrix(np.ones((40, 6)), dtype=np.float32),
        sparse.csr_matrix((40, 6), dtype=np.float32),
        sparse.csr_matrix((0, 6), dtype=np.float32),
    ],
    ids=["tastes", "kits all alike", "one item", "all the same", "no pairs", "nobody"],
)
def test_equal_grades_give_equal_towers_that_are_finite(grades: sparse.csr_matrix) -> None:
    """To the last bit, from whatever there is."""
    first, second = (fit_towers(grades, 10.0, method=Method.ALS) for _ in range(2))
    assert first.inputs.tobytes() == second.inputs.tobytes()
    assert first.outputs.tobytes() == second.outputs.tobytes()
    assert first.inputs.shape == first.outputs.shape == (grades.shape[1], min(RANK, *grades.shape))
    assert np.isfinite(first.inputs).all()
    assert np.isfinite(first.outputs).all()


def test_kits_are_told_apart() -> None:
    """Who met one of a kit gets the rest of it."""
    grades = sparse.csr_matrix(np.kron(np.eye(20), np.ones((3, 5))), dtype=np.float32)
    one = sparse.csr_matrix(np.eye(100, dtype=np.float32)[::5])
    scores = fit_towers(grades, 10.0, method=Method.ALS).scores(one)
    own = np.arange(100) // 5 == np.arange(20)[:, None]
    assert scores[own].min() > scores[~own].max()
