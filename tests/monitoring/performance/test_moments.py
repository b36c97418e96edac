"""Intervals that know shoppers' lists are alike, and the lists it takes to find a drop."""

import math

import numpy as np
import pytest

from monitoring.false_discovery import adjusted
from monitoring.performance.moments import Figure, Moments
from monitoring.performance.power import (
    change,
    least_effect,
    least_lists,
    p_below,
    p_of_drop,
)
from tests.support.clicking import drawn, figure, moments_of


def test_by_hand() -> None:
    """The variance is that of the residuals, over the sum of y squared."""
    told = figure(moments_of([1, 0, 2, 1], [2, 1, 2, 3]))
    assert told.value == 0.5
    assert told.variance == pytest.approx(4 / 3 * (0 + 0.25 + 1 + 0.25) / 64)
    assert (told.lists, told.shoppers, told.is_known) == (8, 4, False)
    assert told.spread == pytest.approx(8 * told.variance)
    assert Moments().figure() is None


def test_sums_add_up() -> None:
    """Whichever part of the shoppers is summed first."""
    random = np.random.default_rng(0)
    x, y = random.integers(0, 5, 90), random.integers(5, 9, 90)
    parts = sum((moments_of(x[n::3], y[n::3]) for n in range(3)), Moments())
    assert parts == moments_of(x, y)


def test_intervals_hold_what_they_say() -> None:
    """95 of 100; those that take lists for independent hold far fewer."""
    random, holds, naive = np.random.default_rng(1), 0, 0
    for _ in range(1_500):
        told = figure(drawn(random, 200, 0.1))
        low, high = told.interval()
        holds += low <= 0.1 <= high
        half = 1.96 * math.sqrt(told.value * (1 - told.value) / told.lists)
        naive += abs(told.value - 0.1) <= half
    assert 0.92 <= holds / 1_500 <= 0.97
    assert naive / 1_500 < 0.85


def test_the_power_asked_for_is_had() -> None:
    """Of drops of the size four in five are found, and of no drop one in twenty is told."""
    random = np.random.default_rng(2)
    base = figure(drawn(random, 40_000, 0.1))
    need = least_lists(base, 0.2, 0.05, 0.8)
    assert least_effect(base, math.ceil(need), 0.05, 0.8) == pytest.approx(0.2, rel=0.01)
    shoppers = round(need / 10)
    found, false = 0, 0
    for _ in range(600):
        before = figure(drawn(random, 40_000, 0.1)) if not _ % 100 else base
        base = before
        found += p_of_drop(figure(drawn(random, shoppers, 0.08)), before) < 0.05
        false += p_of_drop(figure(drawn(random, shoppers, 0.1)), before) < 0.05
    assert 0.72 <= found / 600 <= 0.9
    assert 0.02 <= false / 600 <= 0.085


def test_what_cannot_be_found_takes_for_ever() -> None:
    """A baseline that is too small itself, or is nothing; one without any variance takes one."""
    base = Figure(0.1, 0.0004, 225, 40)
    assert least_lists(base, 0.1, 0.05, 0.8) == math.inf
    assert math.isfinite(least_lists(base, 0.9, 0.05, 0.8))
    assert least_lists(Figure(0.0, 0.0, 100, 40), 0.1, 0.05, 0.8) == math.inf
    assert least_lists(Figure(1.0, 0.0, 100, 40), 0.1, 0.05, 0.8) == 1
    assert least_effect(base, 0, 0.05, 0.8) == math.inf


def test_figures_without_variance() -> None:
    """All alike on both sides: they are less, or they are not."""
    one, half = Figure(1.0, 0.0, 100, 40), Figure(0.5, 0.0, 100, 40)
    assert (p_of_drop(half, one), p_of_drop(one, one), p_of_drop(one, half)) == (0, 1, 1)
    assert (p_below(half, 0.6), p_below(half, 0.5)) == (0, 1)


def test_nothing_in_few_lists_is_no_certainty() -> None:
    """Of 40 lists none is clicked where one in fifty should be: that is nothing; of 4,000 it is."""
    nothing, base = Figure(0.0, 0.0, 40, 40), Figure(0.02, 1e-6, 20_000, 2_000)
    assert p_of_drop(nothing, base) > 0.1
    assert p_below(nothing, 0.02) > 0.4
    assert p_of_drop(Figure(0.0, 0.0, 4_000, 400), base) < 1e-9
    assert p_below(Figure(0.0, 0.0, 4_000, 400), 0.02) < 1e-9


def test_half_of_all_is_half_less() -> None:
    """With nothing to be unsure of."""
    one, half = Figure(1.0, 0.0, 100, 40), Figure(0.5, 0.0, 100, 40)
    assert change(half, one) == (-0.5, -0.5, -0.5)


def test_changes_have_intervals() -> None:
    """Of nothing at all, too."""
    base = Figure(0.1, 1e-6, 1_000, 100)
    told, low, high = change(Figure(0.08, 1e-6, 1_000, 100), base)
    assert told == pytest.approx(-0.2)
    assert low < -0.2 < high < -0.17
    assert change(Figure(0.0, 0.0, 1_000, 100), base) == (-1, -1, -1)


def test_benjamini_and_hochberg() -> None:
    """As in their paper's way of counting, in the order the p-values came."""
    assert adjusted([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert adjusted([]) == []
    assert adjusted([0.9, 0.9]) == [0.9, 0.9]
