"""EASE: which items speak for which, in closed form.

H. Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019: the weights B that
minimise |X - XB|² + λ|B|² with a diagonal of zeros are B = I - P · diag(1 / diag(P)) with
P = (XᵀX + λI)⁻¹.
"""

import numpy as np
from scipy import sparse

from models.gram import Doubles, Gram, gram_of


def ease_weights(matrix: sparse.csr_matrix, regularisation: float, gram: Gram = gram_of) -> Doubles:
    """Return B, float64[items, items]."""
    shared = gram(matrix)
    shared[np.diag_indices_from(shared)] += regularisation
    precision = np.linalg.inv(shared)
    weights: Doubles = -precision / np.diag(precision)
    np.fill_diagonal(weights, 0.0)
    return weights
