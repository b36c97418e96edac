"""How far figures could be chance: 95 % intervals by bootstrap over shoppers.

Shoppers are drawn with replacement, a thousand times, the same for all lists (Efron and
Tibshirani, 1993). Percentiles are moved by as much as the resamples lie beside the figure:
nothing for a mean, but a resample shows fewer items than all shoppers do.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.metrics import MEANS, Doubles, Quality

RESAMPLES = 1_000
OF_THE_CATALOGUE = 200
"""Resamples for what lists do to the catalogue: it spreads little, and takes longer."""

_CHUNK = 100

Interval = tuple[float, float]


def intervals(qualities: Mapping[str, Quality], seed: int = 0) -> dict[str, dict[str, Interval]]:
    """Return the interval of each figure of each of the lists of the same shoppers.

    Nothing where there are no shoppers.
    """
    users = max((each.users for each in qualities.values()), default=0)
    if not users:
        return {name: {} for name in qualities}
    random = np.random.default_rng(seed)
    drawn: dict[str, dict[str, list[Doubles]]] = {name: {} for name in qualities}
    exposures = {name: _exposures(each) for name, each in qualities.items()}
    for done in range(0, RESAMPLES, _CHUNK):
        weights = _weights(random, users)
        for name, each in qualities.items():
            told = _means(each, weights)
            if done < OF_THE_CATALOGUE:
                told |= _catalogue(exposures[name], each.information, weights)
            for figure, values in told.items():
                drawn[name].setdefault(figure, []).append(values)
    return {
        name: {
            figure: _interval(np.concatenate(values), float(each.told()[figure]))
            for figure, values in drawn[name].items()
        }
        for name, each in qualities.items()
    }


def mean_interval(values: Doubles, seed: int = 0) -> Interval:
    """Return the interval of the mean of float64[users], of which there is one at least.

    Of the difference between two lists of the same shoppers it is the paired one.
    """
    random = np.random.default_rng(seed)
    chunks = RESAMPLES // _CHUNK
    drawn = [_weights(random, len(values)) @ values / len(values) for _ in range(chunks)]
    return _interval(np.concatenate(drawn), float(values.mean()))


def _weights(random: np.random.Generator, users: int) -> npt.NDArray[np.float64]:
    """Return how often each shopper is drawn, float64[resamples, users]."""
    drawn = random.integers(0, users, (_CHUNK, users)) + users * np.arange(_CHUNK)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=_CHUNK * users)
    return counts.reshape(_CHUNK, users).astype(np.float64)


def _means(each: Quality, weights: Doubles) -> dict[str, Doubles]:
    means = weights @ each.means / each.users
    return dict(zip(MEANS, means.T, strict=True))


def _exposures(each: Quality) -> sparse.csr_matrix:
    """Return what was shown to whom, float64[users, items]."""
    sizes = [len(rows) for rows in each.shown]
    rows = np.concatenate(each.shown)
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    shape = each.users, len(each.information)
    return sparse.csr_matrix((np.ones(len(rows)), rows, offsets), shape)


def _catalogue(
    exposures: sparse.csr_matrix, information: Doubles, weights: Doubles
) -> dict[str, Doubles]:
    counts = (exposures.T @ weights.T).T
    total = np.maximum(counts.sum(axis=1), 1)
    items = counts.shape[1]
    ranks = np.arange(1, items + 1)
    return {
        "coverage@10": (counts > 0).mean(axis=1),
        "novelty@10": counts @ information / total,
        "gini@10": 2 * (np.sort(counts, axis=1) @ ranks) / (items * total) - (items + 1) / items,
    }


def _interval(values: Doubles, figure: float) -> Interval:
    low, high = np.quantile(values, (0.025, 0.975)) + (figure - values.mean())
    return round(float(low), 5) + 0.0, round(float(high), 5) + 0.0  # -0.0 becomes 0.0
