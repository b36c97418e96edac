"""Intervals by bootstrap, against what statistics says of means."""

import numpy as np
import pytest

from models.bootstrap import _interval, intervals
from models.metrics import MEANS, Quality, quality

ITEMS = 50


def _judged(users: int, seed: int = 0) -> Quality:
    """Return the quality of lists of five for as many shoppers, half of whom find something."""
    random = np.random.default_rng(seed)
    lists = [random.choice(ITEMS, 5, replace=False) for _ in range(users)]
    wanted = [random.choice(ITEMS, 6, replace=False) for _ in range(users)]
    return quality(lists, wanted, random.integers(0, 90, ITEMS))


def test_intervals_of_means_are_as_wide_as_their_errors() -> None:
    """Within a few percent of 1.96 standard errors to both sides, around the figure."""
    judged = _judged(1_000)
    told = intervals({"one": judged})["one"]
    for column, name in enumerate(MEANS):
        low, high = told[name]
        error = judged.means[:, column].std() / np.sqrt(1_000)
        assert low < judged.told()[name] < high
        assert high - low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_what_lists_do_to_the_catalogue_has_intervals_around_it() -> None:
    """A resample shows fewer items than all shoppers do: that is made good."""
    judged = _judged(60)
    told = intervals({"one": judged})["one"]
    for name in ("coverage@10", "novelty@10", "gini@10"):
        low, high = told[name]
        assert low <= judged.told()[name] <= high
        assert high > low


def test_equal_lists_have_equal_intervals_and_so_has_a_second_time() -> None:
    """The same shoppers are drawn for each of the lists, and each time."""
    judged = _judged(100)
    told = intervals({"one": judged, "other": judged})
    assert told["one"] == told["other"]
    assert intervals({"one": judged}) == {"one": told["one"]}
    assert intervals({"one": judged}, seed=1)["one"] != told["one"]


def test_nobody_has_no_intervals() -> None:
    """No shoppers, no lists: nothing, and no error."""
    nothing = quality([], [], np.zeros(5, np.int64))
    assert intervals({"one": nothing}) == {"one": {}}
    assert intervals({}) == {}


def test_no_bound_is_a_negative_nought() -> None:
    """A hair below 0 is 0, in JSON too."""
    assert str(_interval(np.full(10, -1e-9), -1e-9)) == "(0.0, 0.0)"
