"""Bins: every value has one, whatever it is, and their number never changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.drift.columns import LEVELS, MISSING, CategoricalColumn, NumericColumn

FINITE = st.lists(st.floats(-1e9, 1e9, width=32), min_size=1, max_size=50)
ANY = st.lists(st.floats(allow_infinity=True, allow_nan=True, width=32), max_size=50)


@given(FINITE, ANY)
def test_every_number_has_a_bin(reference: list[float], values: list[float]) -> None:
    """Also those beyond what the reference saw, and those that are none."""
    column = NumericColumn.of("n", np.array([*reference, np.nan]))
    bins = column.bins_of(np.array(values, float))
    assert ((bins >= 0) & (bins < column.size)).all()
    assert (bins[np.isnan(np.array(values, float))] == MISSING).all()
    assert len(column.scores) == column.size
    assert all(column.label(each) for each in range(column.size))


def test_bins_hold_equal_parts_of_the_reference() -> None:
    """256 of a number that never comes twice."""
    values = np.random.default_rng(0).normal(size=25_600)
    column = NumericColumn.of("n", values)
    counts = np.bincount(column.bins_of(values), minlength=column.size)
    assert counts[[0, 1, 2, -1]].tolist() == [0, 0, 1, 0]  # the least has a bin of its own
    assert counts[3:-1].min() >= 99
    assert column.bins_of(np.array([-99.0, 99.0])).tolist() == [1, column.size - 1]


def test_a_constant_is_a_column() -> None:
    """It has one bin, and any other value another."""
    column = NumericColumn.of("n", np.full(9, 3.0))
    same, below, above, missing = column.bins_of(np.array([3.0, 2.0, 4.0, np.nan])).tolist()
    assert len({same, below, above, missing}) == 4
    assert column.spread == 0


def test_words_that_are_rare_or_new_have_a_bin() -> None:
    """What the reference saw seldom is no news, what it never saw is."""
    words = [f"w{each}" for each in range(LEVELS + 5) for _ in range(LEVELS + 6 - each)]
    column = CategoricalColumn.of("c", [*words, None])
    told = [column.label(each) for each in column.bins_of(["w0", f"w{LEVELS + 1}", "?", None])]
    assert told == ["w0", "other", "new", "missing"]


@pytest.mark.parametrize(
    ("bins", "told"), [(0, "missing"), (1, "below 1"), (2, "up to 1"), (4, "above 2")]
)
def test_bins_of_numbers_are_told_in_words(bins: int, told: str) -> None:
    """As people would say it."""
    assert NumericColumn.of("n", np.array([1.0, 2.0])).label(bins) == told
