"""The sequential test: it errs no more often for being looked at all the time."""

import numpy as np
import pytest

from models.sequential import Estimate, bounds, mean, ratio, share

ALPHA = 0.05
RUNS = 300
LOOKS = 60
CLUSTERS = 64


def traffic(
    random: np.random.Generator, rate: float, looks: int = LOOKS
) -> tuple[np.ndarray, np.ndarray]:
    """Return parts and wholes by look and cluster, where shoppers differ in how they are.

    Each shopper asks several times and all of what they ask is alike: single requests are not
    independent.
    """
    shoppers = random.poisson(3, (looks, CLUSTERS))
    wholes = shoppers * 4.0
    parts = random.binomial(shoppers, rate) * 4.0
    return parts.cumsum(axis=0), wholes.cumsum(axis=0)


def test_looking_all_the_time_errs_seldom_enough() -> None:
    """Both arms alike: at most 5 % of runs ever exclude that; a fixed test does in many."""
    random = np.random.default_rng(11)
    wrong = naive = 0
    for _ in range(RUNS):
        arms = [traffic(random, 0.1) for _ in range(2)]
        outside = fixed = False
        for look in range(LOOKS):
            one, other = (share(parts[look], wholes[look]) for parts, wholes in arms)
            difference = Estimate(one.mean - other.mean, one.variance + other.variance)
            low, high = bounds(difference, 0.02, ALPHA)
            outside |= low > 0 or high < 0
            fixed |= abs(difference.mean) > 1.96 * difference.variance**0.5
        wrong += outside
        naive += fixed
    assert wrong <= RUNS * ALPHA
    assert naive > 3 * RUNS * ALPHA


def test_harm_is_found() -> None:
    """Twice the rate is surely more than 0.02 worse, in nearly every run."""
    random = np.random.default_rng(12)
    found = 0
    for _ in range(50):
        one, other = (share(p[-1], w[-1]) for p, w in (traffic(random, 0.2), traffic(random, 0.1)))
        difference = Estimate(one.mean - other.mean, one.variance + other.variance)
        found += bounds(difference, 0.02, ALPHA)[0] > 0.02
    assert found >= 48


def test_the_variance_is_between_shoppers() -> None:
    """Requests of one shopper are alike: the spread of the ratio is what is said of it."""
    random = np.random.default_rng(13)
    told = [ratio(p[-1], w[-1]) for p, w in (traffic(random, 0.3) for _ in range(200))]
    spread = np.std([each.mean for each in told])
    assert abs(np.mean([each.variance for each in told]) ** 0.5 / spread - 1) < 0.15


def test_too_little_says_nothing() -> None:
    """Of nobody, or of one cluster, anything may be true; none of ten is not never."""
    nothing, one = np.zeros(5), np.array([5.0, 0, 0, 0, 0])
    assert bounds(share(nothing, nothing), 0.1, ALPHA) == (-np.inf, np.inf)
    assert bounds(ratio(nothing, one), 0.1, ALPHA) == (-np.inf, np.inf)
    assert share(nothing, np.full(5, 3.0)).variance > 0
    assert bounds(mean(1, 1, 1), 0.1, ALPHA) == (-np.inf, np.inf)
    assert bounds(mean(4, 8, 2), 0.1, ALPHA) == (2, 2)


def few_shoppers(random: np.random.Generator, shoppers: int) -> tuple[np.ndarray, np.ndarray]:
    """Return sums of times of 25 ms in the mean, and requests, by look and shopper."""
    asked = random.poisson(20 / shoppers, (300, shoppers))
    times = np.zeros(asked.shape)
    for place in np.argwhere(asked):
        times[tuple(place)] = random.lognormal(np.log(25) - 0.5, 1, asked[tuple(place)]).sum()
    return times.cumsum(axis=0), asked.astype(np.float64).cumsum(axis=0)


@pytest.mark.parametrize("shoppers", [2, 3, 5, 8])
def test_few_shoppers_who_are_alike_are_not_sure(shoppers: int) -> None:
    """Exactly at its margin, times of a few shoppers are hardly ever called worse than that."""
    random = np.random.default_rng(14)
    wrong = 0
    for _ in range(40):
        times, asked = few_shoppers(random, shoppers)
        told = [ratio(*each) for each in zip(times[2:], asked[2:], strict=True)]
        wrong += any(bounds(each.minus(Estimate(10, 0)), 15, 0.01)[0] > 15 for each in told)
    assert wrong <= 1


def test_three_who_fail_alike_are_not_sure() -> None:
    """Exactly at a margin, shares of three shoppers of whom each has a rate are rarely worse."""
    random, wrong = np.random.default_rng(3), 0
    for _ in range(100):
        rates = random.beta(0.25, 4.75, 3)
        asked = random.poisson(14, (60, 3))
        failed = random.binomial(asked, rates).cumsum(axis=0)
        looks = zip(failed[2:], asked.cumsum(axis=0)[2:].astype(np.float64), strict=True)
        told = [share(*each, least=3)._replace(freedom=np.inf) for each in looks]
        wrong += any(bounds(each, 0.05, 0.01)[0] > 0.05 for each in told)
    assert wrong <= 3


def test_sixteen_who_click_alike_are_not_sure() -> None:
    """Exactly at a margin, shares of shoppers most of whom click seldom are rarely worse.

    With normal tails twice as often.
    """
    random, wrong, normal = np.random.default_rng(5), 0, 0
    for _ in range(200):
        asked = random.poisson(20 * random.lognormal(0, 1, 16), (60, 16))
        clicked = random.binomial(asked, random.beta(0.45, 2.55, 16)).cumsum(axis=0)
        looks = zip(clicked[2:], asked.cumsum(axis=0)[2:].astype(np.float64), strict=True)
        told = [Estimate(0.2, 0).minus(share(*each)) for each in looks]
        wrong += any(bounds(each, 0.05, 0.01)[0] > 0.05 for each in told)
        normal += any(bounds(each._replace(freedom=np.inf), 0.05, 0.01)[0] > 0.05 for each in told)
    assert wrong <= 10 < normal


def test_many_clusters_are_nearly_normal() -> None:
    """The fewer clusters, the wider the bounds; of many they are those of a known variance."""
    radius = [bounds(Estimate(0, 1e-4, each), 0.02, ALPHA)[1] for each in (4, 9, 63, np.inf)]
    assert radius == sorted(radius, reverse=True)
    assert radius[-2] < 1.06 * radius[-1] < radius[1]
    assert bounds(Estimate(0, 1, 1), 1e-3, ALPHA) == (-np.inf, np.inf)
