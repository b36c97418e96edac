"""The power that is asked for is had after the correction for all that is judged beside it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.offline.store import OfflineStore
from monitoring.outcomes.policy import policy_in_force as outcomes_in_force
from monitoring.performance import policy
from monitoring.performance.policy import Limits
from monitoring.performance.power import least_lists
from monitoring.performance.states import State
from monitoring.performance.sums import EVERYBODY, Segment, Summing, Sums, Versions
from monitoring.performance.verdict import Bench, Verdict
from tests.support.clicking import drawn, figure

DAYS, RATE, EFFECT = 7, 0.1, 0.3
PAGES: list[Segment] = [("page", f"p{number}") for number in range(9)]
SEGMENTS = [EVERYBODY, *PAGES]
TRIALS = 250


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a bench that judges clicks of everybody and of nine pages."""
    ours = replace(
        policy.parse_policy("", "test"),
        window_days=[DAYS],
        metrics={"ctr": Limits(EFFECT, 0.5)},
        segments=("page",),
        most_values=len(PAGES),
    )
    versions = Versions("live", "base")
    return Bench(Summing(OfflineStore(tmp_path), ours, outcomes_in_force(), versions, 0), ours)


class Shops:
    """Draws sums in which one page has dropped, and all else is as it was."""

    def __init__(self, seed: int) -> None:
        """Draw the baselines: of ten thousand shoppers each."""
        self._random = np.random.default_rng(seed)
        self.base = {each: drawn(self._random, 10_000, RATE) for each in SEGMENTS}

    def sums(self, shoppers: int) -> Sums:
        """Return sums with so many shoppers on each live side."""
        sums = Sums()
        for each in SEGMENTS:
            rate = RATE * (1 - EFFECT) if each == PAGES[0] else RATE
            sums.ratios["ctr", DAYS, True, each] = drawn(self._random, shoppers, rate)
            sums.ratios["ctr", DAYS, False, each] = self.base[each]
        return sums


def _found(bench: Bench, shoppers: int) -> tuple[float, float]:
    """Return how often the page is told, and how many of all that is told are others."""
    told: list[Verdict] = []
    shops = [Shops(seed) for seed in range(10)]
    for trial in range(TRIALS):
        told += bench.verdicts(shops[trial % len(shops)].sums(shoppers))
    worse = [each.segment for each in told if each.state is State.WORSE]
    right = worse.count("page=p0")
    return right / TRIALS, 1 - right / len(worse)


def test_as_many_lists_as_are_asked_for_find_the_effect(bench: Bench) -> None:
    """Four times in five, whatever is judged beside it; what would do alone finds it far less."""
    shops = Shops(99)
    (page,) = (each for each in bench.verdicts(shops.sums(40)) if each.segment == "page=p0")
    assert page.least_lists is not None
    found, false = _found(bench, round(page.least_lists / 10))
    assert 0.74 <= found <= 0.92
    assert false <= 0.12
    alone = least_lists(figure(shops.base[PAGES[0]]), EFFECT, 0.05, 0.8)
    assert alone < 0.65 * page.least_lists
    assert _found(bench, round(alone / 10))[0] < 0.6


def test_every_test_that_may_be_made_counts(bench: Bench, tmp_path: Path) -> None:
    """A limit of its own is another one: beside it a drop takes more lists."""
    sums = Shops(3).sums(400)
    told = bench.verdicts(sums)
    ours = replace(
        policy.parse_policy("", "test"),
        window_days=[DAYS],
        metrics={"ctr": Limits(EFFECT, 0.5, least=0.01)},
        segments=(),
    )
    other = Bench(
        Summing(OfflineStore(tmp_path), ours, outcomes_in_force(), Versions("live", None), 0), ours
    )
    (alone,) = other.verdicts(sums)
    base = figure(sums.ratios["ctr", DAYS, False, EVERYBODY])
    assert alone.least_lists == pytest.approx(least_lists(base, EFFECT, 0.05 / 2, 0.8))
    assert told[0].least_lists == pytest.approx(least_lists(base, EFFECT, 0.05 / 10, 0.8))
