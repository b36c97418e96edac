"""Looking hashes up: the same as looking through all of them, however they are spread."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.ids import Hashes
from models.hash_index import HashIndex

MOST = 2**64 - 1

hashes = st.integers(0, MOST) | st.integers(0, 40) | st.integers(MOST - 40, MOST)


def ascending(values: list[int]) -> Hashes:
    """Return `values` as they are indexed."""
    return np.array(sorted(set(values)), np.uint64)


@given(st.lists(hashes, max_size=200), st.lists(hashes, max_size=50))
def test_every_hash_is_found_where_it_stands_and_no_other(
    kept: list[int], others: list[int]
) -> None:
    """Whether they are spread evenly or crowd at either end."""
    known = ascending(kept)
    wanted = np.array(kept + others, np.uint64)
    places = {value: place for place, value in enumerate(known.tolist())}
    expected = [places.get(value, -1) for value in wanted.tolist()]
    assert HashIndex(known).places(wanted).tolist() == expected


@pytest.mark.parametrize("count", [0, 1, 2, 1_000, 70_000])
def test_evenly_spread_hashes_of_any_number_are_found(count: int) -> None:
    """And those between them are not."""
    random = np.random.default_rng(count)
    known = np.unique(random.integers(0, MOST, count, dtype=np.uint64, endpoint=True))
    index = HashIndex(known)
    assert index.places(known[::-1]).tolist() == list(range(len(known)))[::-1]
    missing = np.setdiff1d(random.integers(0, MOST, 1_000, dtype=np.uint64), known)
    assert (index.places(missing) == -1).all()
