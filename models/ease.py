"""EASE: which items speak for which, in closed form, then cut down to two towers.

H. Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019: the weights B that
minimise |X - XB|² + λ|B|² with a diagonal of zeros are B = I - P · diag(1 / diag(P)) with
P = (XᵀX + λI)⁻¹. A truncated SVD of B makes the two towers: `inputs` and `outputs`.

Two things go before it. Grades fade, so that what sold together of late counts for more. And
columns are scaled towards equal length, so that what sells most does not speak for everything;
the towers undo it: `scale · B · scale⁻¹` is what they are of.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from models.dataset import Interactions
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


def fit_towers(matrix: sparse.csr_matrix, regularisation: float, seed: int = 0) -> Towers:
    """Return the towers for grades float32[users, items].

    Beyond `DENSE_LIMIT` items it is PureSVD (Cremonesi et al., RecSys 2010) instead, whose
    memory grows with the grades and not with items²: the right singular vectors are both towers.
    """
    rank = min(RANK, *matrix.shape)
    if matrix.shape[1] > DENSE_LIMIT:
        scaled, scales = damped(matrix, SVD_DAMPING)
        _, _, right = randomized_svd(scaled, rank, random_state=seed)
        return _towers(right.T, right.T, scales)
    scaled, scales = damped(matrix, EASE_DAMPING)
    weights = ease_weights(scaled, regularisation)
    left, sizes, right = randomized_svd(weights, rank, n_iter=6, random_state=seed)
    return _towers(left * sizes, right.T, scales)


def damped(
    matrix: sparse.csr_matrix, damping: float
) -> tuple[sparse.csr_matrix, npt.NDArray[np.float64]]:
    """Return the matrix with its columns scaled, and the scales float64[items]."""
    squares = np.asarray(matrix.multiply(matrix).sum(axis=0), np.float64).ravel()
    scales: npt.NDArray[np.float64] = (squares + _LEAST_LENGTH) ** (-damping / 2)
    return (matrix @ sparse.diags(scales.astype(np.float32))).tocsr(), scales


def ease_weights(matrix: sparse.csr_matrix, regularisation: float) -> npt.NDArray[np.float64]:
    """Return B, float64[items, items]."""
    gram = (matrix.T @ matrix).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += regularisation
    precision = np.linalg.inv(gram)
    weights: npt.NDArray[np.float64] = -precision / np.diag(precision)
    np.fill_diagonal(weights, 0.0)
    return weights


def _towers(
    inputs: npt.NDArray[np.float64],
    outputs: npt.NDArray[np.float64],
    scales: npt.NDArray[np.float64],
) -> Towers:
    """Return the towers for grades that were not scaled."""
    return Towers(
        np.ascontiguousarray(inputs * scales[:, None], np.float32),
        np.ascontiguousarray(outputs / scales[:, None], np.float32),
    )
