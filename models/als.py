"""ALS: factors of shoppers and items that explain what was met, and how surely (implicit feedback).

Y. Hu, Y. Koren and C. Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM
2008: x_u · y_i is to be 1 where a shopper met an item and 0 elsewhere, where that it is 1 counts
1 + alpha · grade and that it is 0 counts 1; of shoppers and items by turns, the others held fixed.
Each turn takes a few steps of conjugate gradients from where the last one ended, as in G. Takács,
I. Pilászy and D. Tikk, "Applications of the Conjugate Gradient Method for Implicit Feedback
Collaborative Filtering", RecSys 2011.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.dataset import edges

REGULARISATION = 1.0
ALPHA = 100.0
"""How sure a grade makes, of columns of about equal length; see docs/models.md for others."""

ROUNDS = 10
STEPS = 3
"""Of conjugate gradients in each round."""

BLOCK = 100_000
"""Grades of whole rows, about, that are looked at at once: some 50 MB."""

_START = 0.01

Doubles = npt.NDArray[np.float64]


def item_factors(grades: sparse.csr_matrix, rank: int) -> Doubles:
    """Return float64[items, rank] for grades float32[users, items], 0 for what nobody met.

    It starts from always the same numbers.
    """
    random = np.random.default_rng(0)
    users, items = (_START * random.standard_normal((count, rank)) for count in grades.shape)
    met = np.unique(grades.indices)
    factors = np.zeros_like(items)
    factors[met] = _fitted(users, items[met], grades[:, met])
    return factors


def _fitted(users: Doubles, items: Doubles, grades: sparse.csr_matrix) -> Doubles:
    """Return the factors of items after all rounds from where both start."""
    surer = (grades * ALPHA).astype(np.float64).tocsr()
    by_item = surer.T.tocsr()
    for _ in range(ROUNDS):
        users = _improved(users, items, surer)
        items = _improved(items, users, by_item)
    return items


def folding_in(items: Doubles) -> Doubles:
    """Return what each item met adds to a shopper's factors, float64[items, rank].

    It is the closed form for a shopper of whom confidence is small: what was met counts by its
    grade, and does not count once more in what it is divided by, so that it can be added up.
    """
    inputs = np.linalg.solve(_gram(items), items.T).T
    return np.asarray(inputs, np.float64)


def _gram(factors: Doubles) -> Doubles:
    told: Doubles = factors.T @ factors + REGULARISATION * np.eye(factors.shape[1])
    return told


def _improved(ours: Doubles, theirs: Doubles, surer: sparse.csr_matrix) -> Doubles:
    """Return our factors nearer to those that explain `surer`, float64[ours, theirs]."""
    gram = _gram(theirs)
    blocks = [
        _solved(ours[begin:end], theirs, surer[begin:end], gram)
        for begin, end in pairwise(edges(surer.indptr, BLOCK))
    ]
    return np.concatenate(blocks)


def _solved(ours: Doubles, theirs: Doubles, surer: sparse.csr_matrix, gram: Doubles) -> Doubles:
    """Return some rows after `STEPS` steps; each row is a system of its own."""
    of_each = np.repeat(np.arange(len(ours)), np.diff(surer.indptr))
    met = theirs[surer.indices]

    def product(rows: Doubles) -> Doubles:
        """Return (YᵀY + λI + Yᵀ(C - I)Y) of each row."""
        fits = np.einsum("ij,ij->i", rows[of_each], met)
        weighed = sparse.csr_matrix((surer.data * fits, surer.indices, surer.indptr), surer.shape)
        told: Doubles = rows @ gram + weighed @ theirs
        return told

    wanted = sparse.csr_matrix((surer.data + 1, surer.indices, surer.indptr), surer.shape)
    rows = ours
    rest = wanted @ theirs - product(rows)
    towards, left = rest, _lengths(rest, rest)
    for _ in range(STEPS):
        bent = product(towards)
        step = _ratio(left, _lengths(towards, bent))
        rows = rows + step * towards
        rest = rest - step * bent
        left, before = _lengths(rest, rest), left
        towards = rest + _ratio(left, before) * towards
    return rows


def _lengths(one: Doubles, other: Doubles) -> Doubles:
    """Return the inner product of each two rows, float64[rows, 1]."""
    told: Doubles = np.einsum("ij,ij->i", one, other)[:, None]
    return told


def _ratio(one: Doubles, other: Doubles) -> Doubles:
    """Return one by the other, 0 where that is 0: nothing is left to be done there."""
    told: Doubles = np.divide(one, other, out=np.zeros_like(one), where=other > 0)
    return told
