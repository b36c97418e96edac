"""Two towers: what each item that was met says of a shopper, and what that says of each item.

Grades are made ready in two ways first. They fade, so that what sold together of late counts for
more. And columns are scaled towards equal length, so that what sells most does not speak for
everything; the towers undo it: `scale · B · scale⁻¹` is what they are of.
"""

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, eigsh
from sklearn.utils.extmath import randomized_svd

from models.als import folding_in, item_factors
from models.dataset import Interactions
from models.ease import ease_weights
from models.gram import Doubles, Gram, gram_of
from models.parts import Floats
from models.popularity import weights_of

RANK = 32
"""Numbers an item; more gained nothing where it was measured, fewer lost."""

DENSE_LIMIT = 5_000
"""Most items for which B is computed; its inverse takes items³ steps and items² numbers."""

HALF_LIFE_DAYS = 730.0
"""Of a grade: what two items have in common halves in half of that."""

EASE_DAMPING = 0.5
SVD_DAMPING = 1.0
"""How far the lengths of columns are made equal: 0 leaves them, 1 makes them so."""

_SMALL = 200
"""Items of which all singular values are as quickly found as some."""

_BASIS = 4 * RANK
"""Vectors among which some are looked for: among half of them equal ones are missed."""

_LEAST_LENGTH = 1.0
"""Added to squared lengths: a column of next to nothing is not blown up."""


@dataclass(frozen=True, slots=True)
class Towers:
    """`user = sum(grade * inputs[item])`, `score = outputs @ user`; float32[items, rank] each."""

    inputs: Floats
    outputs: Floats

    def scores(self, grades: sparse.csr_matrix) -> Floats:
        """Return float32[users, items] for grades float32[users, items]."""
        scores: Floats = (grades @ self.inputs) @ self.outputs.T
        return scores


def faded(pairs: Interactions, at_ms: int) -> sparse.csr_matrix:
    """Return the grades as they count at a moment, sparse float32[users, items]."""
    return pairs.matrix(weights_of(pairs, at_ms, HALF_LIFE_DAYS))


def faded_implicit(pairs: Interactions, at_ms: int) -> sparse.csr_matrix:
    """Return the same with a grade of 1 for all that was met."""
    return faded(replace(pairs, grades=np.ones_like(pairs.grades)), at_ms)


class Method(Enum):
    """What towers are made of; beyond `DENSE_LIMIT` items of `FACTORS`, or of `ALS`."""

    EASE = "EASE"
    ITEMS = "item-item cosine"
    FACTORS = "PureSVD"
    ALS = "ALS"


def fit_towers(
    matrix: sparse.csr_matrix,
    regularisation: float,
    gram: Gram = gram_of,
    method: Method = Method.EASE,
) -> Towers:
    """Return the towers for grades float32[users, items].

    Those of PureSVD (Cremonesi et al., RecSys 2010) take memory that grows with the grades and not
    with items²: the right singular vectors are both towers. They are drawn near there (Halko et
    al., 2011), from always the same numbers. ALS folds shoppers in by a linear map.
    """
    rank = min(RANK, *matrix.shape)
    if method is Method.ALS:
        scaled, scales = damped(matrix, SVD_DAMPING)
        factors = item_factors(scaled, rank)
        return _towers(folding_in(factors), factors, scales)
    if method is Method.FACTORS or matrix.shape[1] > DENSE_LIMIT:
        scaled, scales = damped(matrix, SVD_DAMPING)
        _, _, right = randomized_svd(scaled, rank, random_state=0)
        return _towers(right.T, right.T, scales)
    if method is Method.ITEMS:
        cosines = gram(damped(matrix, SVD_DAMPING)[0])
        np.fill_diagonal(cosines, 0.0)
        return _towers(*_best_of_rank(cosines, rank), np.ones(len(cosines)))
    scaled, scales = damped(matrix, EASE_DAMPING)
    weights = ease_weights(scaled, regularisation, gram)
    return _towers(*_best_of_rank(weights, rank), scales)


def damped(matrix: sparse.csr_matrix, damping: float) -> tuple[sparse.csr_matrix, Doubles]:
    """Return the matrix with its columns scaled, and the scales float64[items]."""
    squares = np.asarray(matrix.multiply(matrix).sum(axis=0), np.float64).ravel()
    scales: Doubles = (squares + _LEAST_LENGTH) ** (-damping / 2)
    return (matrix @ sparse.diags(scales.astype(np.float32))).tocsr(), scales


def _best_of_rank(weights: Doubles, rank: int) -> tuple[Doubles, Doubles]:
    """Return float64[items, rank] twice, whose product is nearest to float64[items, items].

    Exactly: singular values lie close together, and which of them were missed decided more of an
    order than what else was tried. What is looked for from is drawn, from always the same numbers:
    ones all alike see nothing of what differs between items that are. Where there are fewer than
    `rank`, the others are drawn likewise; `svds` hands no generator on.
    """
    if len(weights) <= _SMALL or not weights.any():
        left, sizes, right = np.linalg.svd(weights)
        return left[:, :rank] * sizes[:rank], right[:rank].T
    squared = LinearOperator(
        weights.shape, lambda vector: weights.T @ (weights @ vector), dtype=np.float64
    )
    start = np.random.default_rng(0).standard_normal(len(weights))
    _, right = eigsh(squared, rank, v0=start, ncv=_BASIS, rng=0)
    right, _ = np.linalg.qr(right)
    return weights @ right, right


def _towers(inputs: Doubles, outputs: Doubles, scales: Doubles) -> Towers:
    """Return the towers for grades that were not scaled."""
    return Towers(
        np.ascontiguousarray(inputs * scales[:, None], np.float32),
        np.ascontiguousarray(outputs / scales[:, None], np.float32),
    )
