"""Tests that may be looked at after every request without erring more often.

Bounds are those of a normal mixture: the mixture sequential probability ratio test (Robbins 1970;
Johari, Koomen, Pekelis and Walsh, KDD 2017) turned into a confidence sequence, with an estimated
variance, so valid for large samples (Waudby-Smith et al., Annals of Statistics 2024).
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Sums = npt.NDArray[np.float64]


class Estimate(NamedTuple):
    """A mean and the variance of its error."""

    mean: float
    variance: float


UNKNOWN = Estimate(math.nan, math.inf)


def ratio(parts: Sums, wholes: Sums) -> Estimate:
    """Return `parts` per `wholes`, float64[clusters] each, with the variance between clusters.

    All that one shopper did must be in one cluster: what they do is not independent, and the
    variance of single requests would be too small (the delta method, Deng et al., KDD 2018).
    """
    whole, clusters = float(wholes.sum()), int((wholes > 0).sum())
    if clusters < 2:
        return UNKNOWN
    mean = float(parts.sum()) / whole
    rest = parts - mean * wholes
    variance = float(rest @ rest) * clusters / (clusters - 1) / whole**2
    return Estimate(mean, variance)


def share(parts: Sums, wholes: Sums) -> Estimate:
    """Return `ratio` of a count, never surer than half of one more: none of ten is not never."""
    told = ratio(parts, wholes)
    whole = float(wholes.sum())
    if not whole:
        return UNKNOWN
    rate = (float(parts.sum()) + 0.5) / (whole + 1)
    least = max(rate * (1 - rate), 0.0) / whole
    return Estimate(told.mean, max(told.variance, least))


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
    middle, variance = estimate
    if not math.isfinite(variance):
        return -math.inf, math.inf
    if variance == 0:
        return middle, middle
    mixed = variance + scale**2
    radius = math.sqrt(variance * mixed / scale**2 * math.log(mixed / (variance * alpha**2)))
    return middle - radius, middle + radius
