"""How many lists it takes to find a drop, and whether there is one.

Both sides of a comparison are uncertain: a live figure of n lists beside a baseline of b of them,
each with the variance s² of one list (which knows that a shopper's are alike), differs by an error
of variance s² (1/n + 1/b). A drop d is found with power 1 - beta at one-sided alpha where

    n >= 1 / (d² / (s (z_alpha + z_beta))² - 1/b)

(Cohen 1988; for clusters Donner and Klar 2000.)
"""

import math
from statistics import NormalDist

from monitoring.performance.moments import Figure, Z

_NORMAL = NormalDist()


def least_lists(base: Figure, effect: float, alpha: float, power: float) -> float:
    """Return how many lists find a relative drop `effect` of a baseline; inf where none do."""
    drop = effect * base.value
    if drop <= 0:
        return math.inf
    if not base.spread:
        return 1.0
    rest = drop**2 / (base.spread * z(alpha, power) ** 2) - 1 / base.lists
    return max(1 / rest, 1.0) if rest > 0 else math.inf


def least_effect(base: Figure, lists: int, alpha: float, power: float) -> float:
    """Return the least relative drop of a baseline that so many lists find."""
    if not lists or base.value <= 0:
        return math.inf
    error = math.sqrt(base.spread * (1 / lists + 1 / base.lists))
    return z(alpha, power) * error / base.value


def p_of_drop(live: Figure, base: Figure) -> float:
    """Return how probable a live figure so low, or lower, is where nothing has changed.

    Then a list's variance is at least the baseline's: few lists without any event are no certainty.
    Shoppers who are on both sides make a drop surer than it says.
    """
    variance = max(live.variance, base.spread / live.lists)
    return _p_below(live.value - base.value, variance + base.variance)


def p_below(live: Figure, least: float) -> float:
    """Return how probable a figure so low is where it should be `least`.

    Of nothing at all in so many lists: where events come one by one, so often.
    """
    if not live.value:
        return math.exp(-least * live.lists)
    return _p_below(live.value - least, live.variance)


def change(live: Figure, base: Figure) -> tuple[float, float, float]:
    """Return the relative change against a baseline above 0, and its interval."""
    ratio = live.value / base.value
    variance = (live.variance + ratio**2 * base.variance) / base.value**2
    half = Z * math.sqrt(variance)
    return ratio - 1, max(ratio - half, 0.0) - 1, ratio + half - 1


def z(alpha: float, power: float) -> float:
    """Return how many standard errors a drop must be to be found so often."""
    return _NORMAL.inv_cdf(1 - alpha) + _NORMAL.inv_cdf(power)


def _p_below(difference: float, variance: float) -> float:
    if not variance:
        return 0.0 if difference < 0 else 1.0
    return _NORMAL.cdf(difference / math.sqrt(variance))
