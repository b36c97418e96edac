"""Tests that may be looked at after every request without erring more often.

Bounds are those of a normal mixture: the mixture sequential probability ratio test (Robbins 1970;
Johari, Koomen, Pekelis and Walsh, KDD 2017) turned into a confidence sequence, with an estimated
variance, so valid for large samples (Waudby-Smith et al., Annals of Statistics 2024). Where the
variance is one between few clusters the tails are Student's, not normal: a handful of shoppers
can be alike by chance, and then nearly anything would look sure.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Sums = npt.NDArray[np.float64]


LEAST_CLUSTERS = 5
"""Below which nothing is told of the variance between them, unless fewer will do."""


class Estimate(NamedTuple):
    """A mean, the variance of its error, and of how many degrees of freedom that is."""

    mean: float
    variance: float
    freedom: float = math.inf

    def minus(self, other: "Estimate") -> "Estimate":
        """Return the difference of two that are independent, no surer than the less sure."""
        variance = self.variance + other.variance
        return Estimate(self.mean - other.mean, variance, min(self.freedom, other.freedom))


UNKNOWN = Estimate(math.nan, math.inf)

_MOST_POWER = 700.0
"""Of e, which is about as large as a number can be."""


def ratio(parts: Sums, wholes: Sums, least: int = LEAST_CLUSTERS) -> Estimate:
    """Return `parts` per `wholes`, float64[clusters] each, with the variance between clusters.

    All that one shopper did must be in one cluster: what they do is not independent, and the
    variance of single requests would be too small (the delta method, Deng et al., KDD 2018).
    """
    whole, clusters = float(wholes.sum()), int((wholes > 0).sum())
    if clusters < least:
        return UNKNOWN
    mean = float(parts.sum()) / whole
    rest = parts - mean * wholes
    variance = float(rest @ rest) * clusters / (clusters - 1) / whole**2
    return Estimate(mean, variance, clusters - 1)


def share(parts: Sums, wholes: Sums, least: int = LEAST_CLUSTERS) -> Estimate:
    """Return `ratio` of a count, never surer than half of one more: none of ten is not never.

    Clusters that are alike by chance do not make it surer than single requests would.
    """
    told = ratio(parts, wholes, least)
    whole = float(wholes.sum())
    if not whole:
        return UNKNOWN
    rate = (float(parts.sum()) + 0.5) / (whole + 1)
    of_requests = max(rate * (1 - rate), 0.0) / whole
    return told._replace(variance=max(told.variance, of_requests))


def mean(total: float, squares: float, count: float) -> Estimate:
    """Return the mean of `count` values with that sum and sum of squares."""
    if count < 2:
        return UNKNOWN
    middle = total / count
    variance = max(squares / count - middle**2, 0.0) / (count - 1)
    return Estimate(middle, variance)


def bounds(estimate: Estimate, scale: float, alpha: float) -> tuple[float, float]:
    """Return both ends that hold at all times together with a probability of 1 - `alpha`.

    `scale` is the size of difference that they are narrowest for.
    """
    middle, variance, freedom = estimate
    if not math.isfinite(variance):
        return -math.inf, math.inf
    if variance == 0:
        return middle, middle
    mixed = variance + scale**2
    squared = mixed / scale**2 * math.log(mixed / (variance * alpha**2))
    radius = math.sqrt(variance * _of_student(squared, freedom))
    return middle - radius, middle + radius


def _of_student(squared: float, freedom: float) -> float:
    """Return the square of Student's t that is as improbable as that of a normal variable.

    By their likelihoods: (1 + t² / freedom) to the power of freedom + 1 is e to that of z².
    """
    if math.isinf(freedom):
        return squared
    power = squared / (freedom + 1)
    return freedom * math.expm1(power) if power < _MOST_POWER else math.inf
