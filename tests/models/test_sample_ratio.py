"""The sample ratio test: declared shares pass however often they are looked at, others do not."""

import math

import numpy as np
import pytest

from models.sample_ratio import LEVEL, sample_ratio

SHARES = (0.01, 0.05, 0.25, 0.5)
RUNS = 200
EVERY = 100
"""Shoppers between two looks."""


def drawn(random: np.random.Generator, share: float, shoppers: int) -> list[tuple[int, int]]:
    """Return control and canary at each look, of shoppers who come one after the other."""
    canary = (random.random(shoppers) < share).cumsum()[EVERY - 1 :: EVERY].tolist()
    return [(EVERY * look - each, each) for look, each in enumerate(canary, 1)]


@pytest.mark.parametrize("share", SHARES)
def test_looking_all_the_time_errs_seldom_enough(share: float) -> None:
    """At most 5 % of runs ever fall below 0.05; the chi-square test does so in far more."""
    random = np.random.default_rng(7)
    wrong = naive = 0
    for _ in range(RUNS):
        looks = drawn(random, share, 10_000)
        wrong += min(sample_ratio(*look, share).p for look in looks) < 0.05
        naive += any(_chi_square(*look, share) > 3.84 for look in looks)
    assert wrong <= 0.05 * RUNS
    assert naive > 3 * 0.05 * RUNS


@pytest.mark.parametrize("share", SHARES)
def test_shoppers_that_are_missing_are_found(share: float) -> None:
    """A third of the canary's, once some 500 of them should have come; nearly always."""
    random = np.random.default_rng(8)
    kept = share * 2 / 3 / (1 - share / 3)
    shoppers = max(EVERY, round(500 / share))
    found = sum(
        sample_ratio(*drawn(random, kept, shoppers)[-1], share).p < LEVEL for _ in range(50)
    )
    assert found >= 45


def test_the_factor_is_what_each_shopper_in_turn_was_worth() -> None:
    """Worked out one after the other: by the mixture as it was before them, over the declared."""
    share, few, many, factor = 0.2, 10.0, 40.0, 1.0
    control = canary = 0
    for is_canary in np.random.default_rng(9).random(300) < 0.4:
        mixed = few / (few + many)
        factor *= mixed / share if is_canary else (1 - mixed) / (1 - share)
        few, many = few + is_canary, many + (not is_canary)
        canary, control = canary + int(is_canary), control + int(not is_canary)
    told = sample_ratio(control, canary, share)
    assert told.p == pytest.approx(1 / factor, rel=1e-6)
    assert told.is_mismatch


def test_nobody_says_nothing() -> None:
    """Neither nobody nor a single shopper is a mismatch; it can be told in a sentence."""
    told = sample_ratio(0, 0, 0.01)
    assert (told.p, told.is_mismatch) == (1.0, False)
    assert str(told) == "shoppers: 0 of 0 have the canary, declared 1.00% (p 1)"
    assert not sample_ratio(0, 1, 0.01).is_mismatch
    told = sample_ratio(990, 10, 0.01)
    assert str(told).startswith("shoppers: 10 of 1000 have the canary, 1.00%, declared 1.00%")


def test_so_many_that_floats_are_coarse() -> None:
    """A quarter of a million shoppers, and the smallest shares, give a probability."""
    for share in (1e-6, 0.25, 1 - 1e-6):
        for canary in (0, 1, 262_144):
            assert 0 <= sample_ratio(262_144 - canary, canary, share).p <= 1
    assert math.isclose(sample_ratio(196_608, 65_536, 0.25).p, 1.0)


def _chi_square(control: int, canary: int, share: float) -> float:
    expected = share * (control + canary)
    return (canary - expected) ** 2 / (expected * (1 - share))
