"""Popular items of segments, in the order of their popularity."""

import numpy as np
import pytest

from models.parts import Segments
from models.segment_table import GLOBAL, SegmentTable


@pytest.mark.parametrize("items", [1, 8_192, 30_001])
def test_all_items_are_in_order(items: int) -> None:
    """Also of more than are sorted at once; of those as popular the first comes first."""
    random = np.random.default_rng(7)
    popularity = random.integers(0, 50, (1, items)).astype(np.float32)
    none = np.zeros(0, np.uint64), np.zeros(0, np.uint16)
    table = SegmentTable(Segments(("global",), popularity, np.zeros(items, np.int32), *none))
    listed = table.popular(GLOBAL, np.ones(items, np.bool_), items)
    assert listed.rows == sorted(range(items), key=lambda row: (-popularity[0, row], row))
    assert listed.scores == popularity[0, listed.rows].tolist()
