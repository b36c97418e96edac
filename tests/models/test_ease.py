"""EASE over a small matrix."""

import numpy as np

from models.ease import ease_weights
from tests.support.histories import halves


def test_weights_minimise_what_they_should() -> None:
    """No other column without its own item has a smaller regularised error."""
    grades, regularisation = halves(), 5.0
    dense = grades.toarray().astype(np.float64)
    weights = ease_weights(grades, regularisation)
    for item in (0, 7, 39):
        others = np.arange(40) != item
        design = dense[:, others]
        gram = design.T @ design + regularisation * np.eye(39)
        expected = np.linalg.solve(gram, design.T @ dense[:, item])
        np.testing.assert_allclose(weights[others, item], expected, atol=1e-9)
        assert weights[item, item] == 0
