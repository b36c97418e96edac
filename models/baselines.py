"""Other people's recommenders, to stand beside ours: item-kNN, ALS and EASE.

From `implicit` (item-kNN as in Sarwar et al., WWW 2001; ALS as in Hu, Koren and Volinsky, ICDM
2008) and `cornac` (EASE, Steck, WWW 2019): the extra `baselines`, for measuring only. Each learns
from the same grades as ours, with the settings that a validation split finds best.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from models.metrics import best_new, quality
from models.parts import Floats, Rows
from models.split import Split
from models.towers import DENSE_LIMIT

KNN = "item_knn"
ALS = "als"
EASE = "ease"

EXTRA = "baselines"
"""The extra of this project that has the libraries."""

NEIGHBOURS = (50, 200)
FACTORS = 32
CONFIDENCES = ((0.1, 10.0), (10.0, 10.0), (80.0, 10.0), (1.0, 1.0))
"""(regularisation, alpha) of ALS."""

REGULARISATIONS = (30.0, 100.0, 300.0, 1_000.0)
"""λ of EASE, each with and without the weights below 0."""

_CHUNK = 512

Scorer = Callable[[sparse.csr_matrix], Floats]
"""float32[users, items] scores for as many histories of grades."""

Fit = Callable[[sparse.csr_matrix], Scorer]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A baseline with the settings that were found best, and the NDCG@10 of each that was tried."""

    fit: Fit
    settings: str
    measured: Mapping[str, float]


def are_there() -> bool:
    """Tell whether the libraries are installed."""
    return all(find_spec(name) is not None for name in ("implicit", "cornac"))


def choose_baselines(split: Split, seed: int) -> dict[str, Chosen]:
    """Return each baseline with the settings that are best for the shoppers of a split."""
    return {name: _choose(settings, split) for name, settings in _tried(split, seed).items()}


def baseline_lists(fit: Fit, split: Split) -> list[Rows]:
    """Return the best rows for each shopper by what `fit` learns from what was known."""
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # implicit warns of what it passes to itself
        scorer, histories = fit(split.known.matrix()), split.histories()
        lists: list[Rows] = []
        for start in range(0, len(split), _CHUNK):
            part = slice(start, start + _CHUNK)
            scores = scorer(histories[part])
            lists += best_new(scores, np.arange(len(scores)), split.blocked[part])
    return lists


def _tried(split: Split, seed: int) -> dict[str, dict[str, Fit]]:
    tried = {
        KNN: dict(_knns()),
        ALS: {
            f"{FACTORS} factors, λ {each:g}, alpha {alpha:g}": _als(each, alpha, seed)
            for each, alpha in CONFIDENCES
        },
    }
    if split.known.item_count <= DENSE_LIMIT:
        tried[EASE] = dict(_eases())
    return tried


def _knns() -> Iterator[tuple[str, Fit]]:
    for each in NEIGHBOURS:
        yield f"{each} neighbours", _knn(each, itself=True)
        yield f"{each} neighbours, none its own", _knn(each, itself=False)


def _eases() -> Iterator[tuple[str, Fit]]:
    for each in REGULARISATIONS:
        yield f"λ {each:g}", _ease(each, positive=False)
        yield f"λ {each:g}, none below 0", _ease(each, positive=True)


def _choose(settings: Mapping[str, Fit], split: Split) -> Chosen:
    met = split.known.met()
    measured = {
        name: quality(baseline_lists(fit, split), split.wanted, met).ndcg
        for name, fit in settings.items()
    }
    best = max(measured, key=measured.__getitem__)
    return Chosen(settings[best], best, measured)


def _knn(neighbours: int, *, itself: bool) -> Fit:
    from implicit.nearest_neighbours import CosineRecommender  # noqa: PLC0415 (an extra)

    def fit(matrix: sparse.csr_matrix) -> Scorer:
        model = CosineRecommender(K=neighbours, num_threads=1)
        model.fit(matrix, show_progress=False)
        alike = model.similarity if itself else _without_diagonal(model.similarity)
        return lambda histories: (histories @ alike).toarray().astype(np.float32)

    return fit


def _without_diagonal(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    return matrix - sparse.diags(matrix.diagonal())


def _als(regularisation: float, alpha: float, seed: int) -> Fit:
    from implicit.cpu.als import AlternatingLeastSquares  # noqa: PLC0415 (an extra)

    def fit(matrix: sparse.csr_matrix) -> Scorer:
        model = AlternatingLeastSquares(
            factors=FACTORS,
            regularization=regularisation,
            alpha=alpha,
            num_threads=1,
            random_state=seed,
        )
        model.fit(matrix, show_progress=False)

        def scores(histories: sparse.csr_matrix) -> Floats:
            users = model.recalculate_user(np.arange(histories.shape[0]), histories)
            told: Floats = users @ model.item_factors.T
            return told

        return scores

    return fit


def _ease(regularisation: float, *, positive: bool) -> Fit:
    from cornac import models as cornac  # noqa: PLC0415 (an extra)
    from cornac.data import Dataset  # noqa: PLC0415 (an extra)

    def fit(matrix: sparse.csr_matrix) -> Scorer:
        coo = matrix.tocoo()
        pairs = zip(coo.row.tolist(), coo.col.tolist(), coo.data.tolist(), strict=True)
        known = Dataset.build(pairs)
        model = cornac.EASE(lamb=regularisation, posB=positive, verbose=False)
        model.fit(known)
        rows = np.array(list(known.iid_map), np.int64)  # of the items as cornac numbers them

        def scores(histories: sparse.csr_matrix) -> Floats:
            told = np.zeros(histories.shape, np.float32)
            told[:, rows] = histories[:, rows] @ model.B
            return told

        return scores

    return fit
