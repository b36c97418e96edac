"""What the ranker sees of a candidate for a shopper: one function, in training and in serving.

Columns of the matrix: how well the candidate fits the shopper (`FIT`), what is known of the
item (`ITEM_STATS`), what is known of the shopper (`features.definitions`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.definitions import FEATURE_NAMES

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

AFFINITIES = 3
"""How many item attributes the ranker knows a shopper's liking for: those that tell most."""

FIT = (
    "score",
    "relative_score",
    "log_rank",
    "segment_popularity",
    "nearest",
    "mean_similarity",
    "latest_similarity",
    *(f"affinity_{number}" for number in range(AFFINITIES)),
    "price_ratio",
    "graded_items",
)
ITEM_STATS = (
    "log_events_30d",
    "log_events_90d",
    "log_events_365d",
    "log_events",
    "trend",
    "mean_grade",
    "age_days",
    "log_price",
)
RANKER_FEATURES = (*FIT, *ITEM_STATS, *FEATURE_NAMES)
"""Every column, in order."""

_PRICE = ITEM_STATS.index("log_price")
_STATS_AT = len(FIT)
_SHOPPER_AT = len(FIT) + len(ITEM_STATS)


@dataclass(frozen=True, slots=True)
class ItemSide:
    """What is known of the items, one row each.

    `directions` float32[items, rank] has unit length (or is 0), `codes` int32[items, AFFINITIES]
    numbers attribute values (-1 unknown), `stats` float32[items, len(ITEM_STATS)].
    """

    directions: Floats
    codes: npt.NDArray[np.int32]
    stats: Floats


@dataclass(frozen=True, slots=True)
class ShopperSide:
    """What is known of one shopper.

    `items` int64[h] and `grades` float32[h] are the graded history, latest last, at least one;
    `vector` float32[len(FEATURE_NAMES)]; `popularity` float32[items] of the segment, 0 to 1.
    """

    items: Rows
    grades: Floats
    vector: Floats
    popularity: Floats


def ranker_matrix(
    items: ItemSide, shopper: ShopperSide, candidates: Rows, scores: Floats
) -> Floats:
    """Return float32[candidates, len(RANKER_FEATURES)].

    `candidates` are item rows in the order of their `scores`, best first.
    """
    matrix = np.empty((len(candidates), len(RANKER_FEATURES)), np.float32)
    grades = shopper.grades
    weights = grades / grades.sum()
    similarity = items.directions[candidates] @ items.directions[shopper.items].T
    matrix[:, 0] = scores
    matrix[:, 1] = scores / max(abs(float(scores[0])), 1e-6) if len(scores) else 0
    matrix[:, 2] = np.log1p(np.arange(len(candidates), dtype=np.float32))
    matrix[:, 3] = shopper.popularity[candidates]
    matrix[:, 4] = (similarity * grades).max(axis=1)
    matrix[:, 5] = similarity @ weights
    matrix[:, 6] = similarity[:, -1]
    for column in range(AFFINITIES):
        matrix[:, 7 + column] = _affinity(items.codes[:, column], shopper, candidates, weights)
    prices = items.stats[:, _PRICE]
    matrix[:, 7 + AFFINITIES] = prices[candidates] - float(prices[shopper.items] @ weights)
    matrix[:, 8 + AFFINITIES] = len(shopper.items)
    matrix[:, _STATS_AT:_SHOPPER_AT] = items.stats[candidates]
    matrix[:, _SHOPPER_AT:] = shopper.vector
    return matrix


def _affinity(
    codes: npt.NDArray[np.int32], shopper: ShopperSide, candidates: Rows, weights: Floats
) -> Floats:
    """Return the share of the shopper's liking that went to items with the candidate's value."""
    met, wanted = codes[shopper.items], codes[candidates]
    # Unknown values are -1: counted at 0, and looked up there, where nothing may stand.
    liking = np.bincount(met + 1, weights, minlength=int(wanted.max(initial=0)) + 2)
    liking[0] = 0
    affinity: Floats = liking[wanted + 1].astype(np.float32)
    return affinity


def directions_of(factors: Floats) -> Floats:
    """Return `factors` float32[n, rank] scaled to unit length, rows of zeros as they are."""
    lengths = np.linalg.norm(factors, axis=1, keepdims=True)
    scaled: Floats = np.divide(factors, lengths, out=np.zeros_like(factors), where=lengths > 0)
    return scaled
