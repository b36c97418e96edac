"""What items have in common, counted in blocks."""

import numpy as np
import pytest
from scipy import sparse

import models.gram as gram_module
from models.gram import blocks_of, gram_of
from tests.support.histories import halves


@pytest.mark.parametrize("block", [1, 40, 10_000])
def test_blocks_add_up(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many grades are counted at once; where that is all, to the last bit."""
    monkeypatch.setattr(gram_module, "BLOCK", block)
    rows = halves() * np.float32(0.3)
    assert (len([*blocks_of(rows)]) > 1) == (block < rows.nnz)
    whole = (rows.T @ rows).toarray()
    np.testing.assert_allclose(gram_of(rows), whole, rtol=1e-5)
    assert (gram_of(rows) == whole).all() or block < rows.nnz
    nobody = gram_of(sparse.csr_matrix((0, 3), dtype=np.float32))
    assert nobody.tolist() == np.zeros((3, 3)).tolist()
