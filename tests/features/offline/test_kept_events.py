"""Events of the tables come in the order in which rings have them."""

import numpy as np
import pytest

from features.offline.kept_events import _order

NOW_MS = 1_760_000_000_000


@pytest.mark.parametrize("shoppers", [1, 1_000, 2**30, 2**40])
@pytest.mark.parametrize("count", [0, 1, 500])
def test_events_are_sorted_by_shopper_and_stamp(shoppers: int, count: int) -> None:
    """Whether or not one number holds both."""
    random = np.random.default_rng(shoppers)
    user = random.integers(0, shoppers, count)
    ts = NOW_MS - random.integers(0, 400 * 86_400_000, count)

    order = _order(user, ts)

    expected = sorted(zip(user.tolist(), ts.tolist(), strict=True))
    assert list(zip(user[order].tolist(), ts[order].tolist(), strict=True)) == expected
