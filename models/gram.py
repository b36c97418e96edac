"""XᵀX: for each two items the sum of the products of their grades, counted block by block."""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.dataset import edges
from models.parts import Floats

BLOCK = 1_000_000
"""Grades of whole shoppers, about, whose XᵀX is computed at once; blocks are added up in order."""

Doubles = npt.NDArray[np.float64]

Gram = Callable[[sparse.csr_matrix], Doubles]
"""XᵀX, float64[items, items], of X float32[users, items]."""


def gram_of(matrix: sparse.csr_matrix) -> Doubles:
    """Return XᵀX, counted here."""
    return added((counted(block) for block in blocks_of(matrix)), matrix.shape[1])


def blocks_of(matrix: sparse.csr_matrix) -> Iterator[sparse.csr_matrix]:
    """Yield the rows of all shoppers, in blocks of some `BLOCK` grades; one at least."""
    for begin, end in pairwise(edges(matrix.indptr, BLOCK)):
        yield matrix[begin:end]


def counted(block: sparse.csr_matrix) -> Floats:
    """Return the float32[items, items] of a block: for each two items the sum of products."""
    told: Floats = (block.T @ block).toarray()
    return told


def added(parts: Iterable[Floats], items: int) -> Doubles:
    """Return the sum of what blocks have, in their order: sums of floats depend on it."""
    total = np.zeros((items, items))
    for part in parts:
        total += part
    return total
