"""EASE: which items speak for which, in closed form, then cut down to two towers.

H. Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019: the weights B that
minimise |X - XB|² + λ|B|² with a diagonal of zeros are B = I - P · diag(1 / diag(P)) with
P = (XᵀX + λI)⁻¹. A truncated SVD of B makes the two towers: `inputs` and `outputs`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from models.parts import Floats

RANK = 32
"""Numbers an item; more gained nothing where it was measured, fewer lost."""

DENSE_LIMIT = 5_000
"""Most items for which B is computed; its inverse takes items³ steps and items² numbers."""


@dataclass(frozen=True, slots=True)
class Towers:
    """`user = sum(grade * inputs[item])`, `score = outputs @ user`; float32[items, rank] each."""

    inputs: Floats
    outputs: Floats

    def scores(self, grades: sparse.csr_matrix) -> Floats:
        """Return float32[users, items] for grades float32[users, items]."""
        scores: Floats = (grades @ self.inputs) @ self.outputs.T
        return scores


def fit_towers(matrix: sparse.csr_matrix, regularisation: float, seed: int = 0) -> Towers:
    """Return the towers for grades float32[users, items].

    Beyond `DENSE_LIMIT` items it is PureSVD (Cremonesi et al., RecSys 2010) instead, whose
    memory grows with the grades and not with items²: the right singular vectors are both towers.
    """
    rank = min(RANK, *matrix.shape)
    if matrix.shape[1] > DENSE_LIMIT:
        _, _, right = randomized_svd(matrix, rank, random_state=seed)
        return Towers(_tower(right.T), _tower(right.T))
    weights = ease_weights(matrix, regularisation)
    left, sizes, right = randomized_svd(weights, rank, n_iter=6, random_state=seed)
    return Towers(_tower(left * sizes), _tower(right.T))


def ease_weights(matrix: sparse.csr_matrix, regularisation: float) -> npt.NDArray[np.float64]:
    """Return B, float64[items, items]."""
    gram = (matrix.T @ matrix).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += regularisation
    precision = np.linalg.inv(gram)
    weights: npt.NDArray[np.float64] = -precision / np.diag(precision)
    np.fill_diagonal(weights, 0.0)
    return weights


def _tower(factors: npt.NDArray[np.float64]) -> Floats:
    return np.ascontiguousarray(factors, np.float32)
