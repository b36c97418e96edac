"""A linear order of candidates, learnt list by list.

The softmax of a list's scores is how likely each of its candidates is the wanted one; weights
minimise the cross entropy (ListNet, Cao et al., ICML 2007). What is the same in all of a list
cancels out: only what tells candidates of one shopper apart gets a weight. A list of which much
was wanted counts for more than one of which little was, but less than in proportion.
"""

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from models.parts import Floats, Rows

PENALTY = 0.03
"""Of the squared weights of columns of unit variance, beside the mean cross entropy of a list."""

_ROUNDS = 200

Doubles = npt.NDArray[np.float64]


def fit_listwise(
    features: Floats, labels: Floats, sizes: Rows, counts: Doubles, importance: Doubles
) -> Doubles:
    """Return float64[columns]: the weights that order the lists best.

    `features` float32[n, columns] and `labels` float32[n] (1 for wanted) are those of one list
    after another, `sizes` int64[lists] long and each with something wanted; each row stands for
    `counts` float64[n] of its kind, each list counts by its `importance` float64[lists].
    """
    spread = features.std(axis=0, dtype=np.float64)
    scales = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 1e-6)
    columns = (features - features.mean(axis=0, dtype=np.float64)) * scales
    hits = np.add.reduceat(labels.astype(np.float64), np.cumsum(sizes) - sizes)
    shares = importance / np.sqrt(hits)
    wanted = labels * np.repeat(shares / shares.mean(), sizes)

    def loss(weights: Doubles) -> tuple[float, Doubles]:
        entropy, slopes = _cross_entropy(columns @ weights, wanted, sizes, counts)
        return (
            entropy / len(sizes) + PENALTY * float(weights @ weights) / 2,
            slopes @ columns / len(sizes) + PENALTY * weights,
        )

    start = np.zeros(features.shape[1])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _ROUNDS})
    weights: Doubles = found.x * scales
    return weights


def _cross_entropy(
    scores: Doubles, wanted: Doubles, sizes: Rows, counts: Doubles
) -> tuple[float, Doubles]:
    """Return the cross entropy of all lists, and its slope by each score."""
    begins = np.cumsum(sizes) - sizes
    shifted = scores - np.repeat(np.maximum.reduceat(scores, begins), sizes)
    odds = np.exp(shifted) * counts
    sums = np.add.reduceat(odds, begins)
    hits = np.add.reduceat(wanted, begins)
    entropy = float(hits @ np.log(sums) - wanted @ shifted)
    return entropy, odds * np.repeat(hits / sums, sizes) - wanted
