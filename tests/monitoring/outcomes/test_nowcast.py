"""Delays that are cut off by age, and what is yet to come: against worlds whose end is known."""

import numpy as np
import numpy.typing as npt
import pytest

from monitoring.outcomes.delays import Delays
from monitoring.outcomes.nowcast import Nowcast, Young, nowcast

HOUR = 3_600_000
WEEK = 168 * HOUR
Ints = npt.NDArray[np.int64]


def delays_of(delays: list[int], ages: list[int], longest: int = 10) -> Delays:
    """Return delays, each of another shopper."""
    each = np.arange(len(delays), dtype=np.int64)
    return Delays(np.array(delays, np.int64), np.array(ages, np.int64), each, longest)


def test_without_young_lists_it_is_the_plain_share() -> None:
    """Each step is as high as delays are many."""
    told = delays_of([3, 1, 3, 7], [10, 12, 99, 10])
    assert told.mature == 4
    shares = told.distribution().within(np.array([0, 1, 2, 3, 6, 7, 9, 10]))
    assert shares.tolist() == pytest.approx([0, 0.25, 0.25, 0.75, 0.75, 1, 1, 1])


def test_by_hand_as_the_chain_ladder() -> None:
    """Two days of lists: those of the young one could show the first delay only."""
    told = delays_of([1, 1, 2, 1, 1, 1], [2, 2, 2, 1, 1, 1], longest=2)
    # Of the old, 2 of 3 came at once: F(1) = 1 - 1/3; the young say nothing of what comes later.
    assert told.distribution().within(np.array([0, 1, 2])).tolist() == pytest.approx([0, 2 / 3, 1])
    doubled = told.distribution(np.array([2.0, 2, 1, 1, 1, 1]))
    assert told.delays.tolist() == [1, 1, 1, 1, 1, 2]
    assert doubled.within(np.array([1])).tolist() == pytest.approx([1 - 1 / 5])


def test_nothing_seen_is_everything_at_once() -> None:
    """No delay, no step: whoever asks is told before that too little is known."""
    told = delays_of([], [])
    assert told.distribution().within(np.array([0, 10])).tolist() == [1, 1]
    young = Young(np.ones(3), np.zeros(3), np.zeros(1, np.int64), np.full(1, 3.0))
    assert nowcast(young, told) == "fewer than 20 delays of mature lists"


class World:
    """Lists of four weeks, of shoppers who differ; half of what comes takes days."""

    def __init__(self, seed: int, shoppers: int = 400, rate: float = 0.08) -> None:
        """Draw all that will ever happen."""
        random = np.random.default_rng(seed)
        count = shoppers * 20
        self.shoppers = random.integers(0, shoppers, count)
        liking = random.gamma(2.0, 0.5, shoppers)[self.shoppers]
        self.served = random.integers(0, 4 * WEEK, count)
        self.has = random.random(count) < rate * liking
        slow = random.exponential(40 * HOUR, count)
        delay = np.where(random.random(count) < 0.5, random.exponential(HOUR, count), slow)
        self.delay = delay.astype(np.int64)
        self.has &= self.delay <= WEEK
        self.now = 4 * WEEK

    def delays(self) -> Delays:
        """Return what was seen by now."""
        seen = self.has & (self.served + self.delay <= self.now)
        ages = self.now - self.served[seen]
        return Delays(self.delay[seen], ages, self.shoppers[seen], WEEK)

    def cohort(self, age_h: int, length_h: int = 24) -> tuple[Young, float]:
        """Return the lists of so many hours before now, and their rate in the end."""
        age = self.now - self.served
        inside = (age >= (age_h - length_h) * HOUR) & (age < age_h * HOUR)
        seen = inside & self.has & (self.served + self.delay <= self.now)
        shoppers, whose = np.unique(self.shoppers[inside], return_inverse=True)
        size = len(shoppers)
        lists = np.bincount(whose, minlength=size).astype(np.float64)
        have = np.bincount(whose, seen[inside], size).astype(np.float64)
        young = Young(lists, have, age[inside], np.ones(int(inside.sum())))
        return young, float(self.has[inside].mean())


def test_a_young_cohort_is_estimated_where_it_ends() -> None:
    """On average right, and 95 of 100 intervals hold the end; what is seen so far is far below."""
    errors, inside, below, widths = [], [], [], []
    for seed in range(30):
        world = World(seed)
        young, end = world.cohort(24)
        told = nowcast(young, world.delays(), seed)
        assert isinstance(told, Nowcast)
        errors.append(told.rate / end - 1)
        inside.append(told.low <= end <= told.high)
        below.append(young.have.sum() / young.lists.sum() / end - 1)
        widths.append(told.high - told.low)
        assert told.low <= told.rate <= told.high
    assert abs(np.mean(errors)) < 0.08
    assert np.mean(below) < -0.3
    assert np.mean(inside) >= 0.88
    assert np.mean(widths) < 0.12


def test_older_cohorts_are_surer() -> None:
    """More has come, less is guessed."""
    world = World(7, shoppers=2_000)
    told = [nowcast(world.cohort(age)[0], world.delays()) for age in (24, 72, 144)]
    widths = [each.high - each.low for each in told if isinstance(each, Nowcast)]
    complete = [each.complete for each in told if isinstance(each, Nowcast)]
    assert len(widths) == 3
    assert widths[0] > widths[1] > widths[2]
    assert complete[0] < complete[1] < complete[2] < 1


def test_too_little_is_no_estimate() -> None:
    """Few events so far, or almost none that could have come by now."""
    world = World(3)
    delays = world.delays()
    young, _ = world.cohort(48)
    few = Young(young.lists, np.zeros(len(young.lists)), young.ages, young.counts)
    assert nowcast(few, delays) == "too young"
    slow = Delays(np.full(50, WEEK - 1), np.full(50, WEEK), np.arange(50), WEEK)
    assert nowcast(young, slow) == "too young"


def test_it_is_the_same_each_time() -> None:
    """Chance is drawn from a seed."""
    world = World(5)
    young, _ = world.cohort(48)
    assert nowcast(young, world.delays()) == nowcast(young, world.delays())
