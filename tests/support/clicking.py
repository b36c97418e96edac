"""Shoppers who click, each as often as they like: sums over them."""

import numpy as np
import numpy.typing as npt

from monitoring.performance.moments import Figure, Moments


def moments_of(x: npt.ArrayLike, y: npt.ArrayLike) -> Moments:
    """Return the moments of shoppers with these sums."""
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    sums = (xs.sum(), ys.sum(), xs @ xs, xs @ ys, ys @ ys)
    return Moments(len(xs), int(ys.sum()), *map(float, sums))


def drawn(random: np.random.Generator, shoppers: int, rate: float) -> Moments:
    """Return clicks of shoppers with ten lists on average, who differ much in their liking."""
    lists = random.poisson(9, shoppers) + 1
    liking = random.beta(0.5, 0.5 * (1 - rate) / rate, shoppers)
    return moments_of(random.binomial(lists, liking), lists)


def figure(moments: Moments) -> Figure:
    """Return the figure that there is."""
    told = moments.figure()
    assert told is not None
    return told
