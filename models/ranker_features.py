"""What the ranker sees of a candidate for a shopper: one function, in training and in serving.

Columns of the matrix: how well the candidate fits the shopper (`FIT`), what is known of the
item (`ITEM_STATS`), what is known of the shopper (`features.declared`) and how much is not.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from features.declared import FEATURE_NAMES, FEATURES
from features.feature import OnDemand
from models.pauses import pause

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]

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
    "implicit_score",
    "relative_implicit_score",
    "implicit_rank",
    *(f"affinity_{number}" for number in range(AFFINITIES)),
    "price_ratio",
    "log_graded_items",
)
ITEM_STATS = (
    "log_events_14d",
    "log_events_30d",
    "log_events_90d",
    "log_events_180d",
    "log_events_365d",
    "log_events",
    "trend",
    "mean_grade",
    "age_days",
    "log_price",
)
SHOPPER = ("missing_features", *FEATURE_NAMES)
RANKER_FEATURES = (*FIT, *ITEM_STATS, *SHOPPER)
"""Every column, in order."""

OF_THE_SHOPPER = [
    column for column, feature in enumerate(FEATURES) if not isinstance(feature, OnDemand)
]
"""Features that are missing where the shopper is not known, whatever the request tells."""

OF_THE_CANDIDATE = len(FIT) + len(ITEM_STATS)
"""The first so many columns tell candidates of one shopper apart; the others are the shopper's."""

SCORE = FIT.index("score")
"""How well the candidate fits: what it was found by."""

HISTORY = FIT.index("log_graded_items")
"""The logarithm of how many graded items the shopper met: how much is known of their taste."""

_IMPLICIT_AT = FIT.index("implicit_score")
_AFFINITY_AT = FIT.index("affinity_0")
_PRICE = ITEM_STATS.index("log_price")
_STATS_AT = len(FIT)
_MEASURED_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True)
class ItemSide:
    """What is known of the items, one row each.

    `factors` float32[items, rank], `scales` float32[items] what makes each of them as long as 1
    (0 where it has no length), `implicit` two towers float32[items, rank], of what was met and
    of what may be, whatever its grade, `codes` int32[items, AFFINITIES] numbers attribute values
    (-1 unknown), `stats` float32[items, len(ITEM_STATS)].
    """

    factors: Floats
    scales: Floats
    implicit: tuple[Floats, Floats]
    codes: Codes
    stats: Floats

    @classmethod
    def of(
        cls, factors: Floats, implicit: tuple[Floats, Floats], codes: Codes, stats: Floats
    ) -> Self:
        """Return the side of items with these factors."""
        lengths = _lengths(factors)
        scales = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        return cls(factors, scales, implicit, codes, stats)

    def directions(self, rows: Rows) -> Floats:
        """Return float32[..., rank]: the factors of items, as long as 1."""
        scales = self.scales.take(rows)
        directions: Floats = self.factors.take(rows, axis=0) * scales[..., None]
        return directions

    def implicit_scores(self, met: Rows, candidates: Rows) -> Floats:
        """Return float32[b, c]: how well `candidates` int64[b, c] fit what was met, int64[b, h].

        Rows of -1 stand for nothing.
        """
        inputs, outputs = self.implicit
        there = (met >= 0).astype(np.float32)
        users = there[:, None] @ inputs.take(met, axis=0)
        scores: Floats = (outputs.take(candidates, axis=0) @ users.swapaxes(1, 2))[..., 0]
        return scores

    def likeness(self, direction: Floats) -> Floats:
        """Return float32[items]: the cosine between each item and `direction` float32[rank]."""
        likeness: Floats = (self.factors @ direction) * self.scales
        return likeness


def _lengths(factors: Floats) -> Floats:
    """Return float32[items], in steps: the first to read a mapped file has its pages fetched."""
    lengths = np.empty(len(factors), np.float32)
    for begin in range(0, len(factors), _MEASURED_AT_ONCE):
        some = slice(begin, begin + _MEASURED_AT_ONCE)
        lengths[some] = np.linalg.norm(factors[some], axis=1)
        pause()
    return lengths


@dataclass(frozen=True, slots=True)
class ShopperSide:
    """What is known of the shoppers of a batch.

    `items` int64[b, h] and `grades` float32[b, h] are the graded histories, latest last, rows -1
    and grades 0 behind; `vectors` float32[b, len(SHOPPER)].
    """

    items: Rows
    grades: Floats
    vectors: Floats


def ranker_matrix(
    items: ItemSide, shoppers: ShopperSide, candidates: Rows, scores: Floats, popularity: Floats
) -> Floats:
    """Return float32[b, c, len(RANKER_FEATURES)].

    `candidates` int64[b, c] are item rows in the order of their `scores` float32[b, c], best
    first; `popularity` float32[b, c] is each one's in the shopper's segment, 0 to 1.
    """
    matrix = np.empty((*candidates.shape, len(RANKER_FEATURES)), np.float32)
    met, grades = shoppers.items, shoppers.grades
    counts = (met >= 0).sum(axis=1)
    weights = grades / np.maximum(grades.sum(axis=1, keepdims=True), 1e-6)
    similarity = items.directions(met) @ items.directions(candidates).swapaxes(1, 2)
    matrix[..., 0] = scores
    matrix[..., 1] = scores / np.maximum(np.abs(scores[:, :1]), 1e-6)
    matrix[..., 2] = np.log1p(np.arange(candidates.shape[1], dtype=np.float32))
    matrix[..., 3] = popularity
    behind = np.where(met < 0, -np.inf, 0).astype(np.float32)
    matrix[..., 4] = (similarity * grades[..., None] + behind[..., None]).max(axis=1)
    matrix[..., 5] = (weights[:, None] @ similarity)[:, 0]
    matrix[..., 6] = similarity[np.arange(len(met)), counts - 1]
    implicit = items.implicit_scores(met, candidates)
    matrix[..., _IMPLICIT_AT] = implicit
    matrix[..., _IMPLICIT_AT + 1] = implicit / _largest(implicit)
    matrix[..., _IMPLICIT_AT + 2] = (-implicit).argsort(axis=1, kind="stable").argsort(axis=1)
    liked, wanted = items.codes.take(met, axis=0), items.codes.take(candidates, axis=0)
    matrix[..., _AFFINITY_AT : _AFFINITY_AT + AFFINITIES] = _affinities(liked, wanted, weights)
    stats = items.stats.take(candidates, axis=0)
    paid = items.stats.take(met, axis=0)[..., _PRICE]
    usual = (paid * weights).sum(axis=1, keepdims=True)
    matrix[..., _AFFINITY_AT + AFFINITIES] = stats[..., _PRICE] - usual
    matrix[..., _AFFINITY_AT + AFFINITIES + 1] = np.log(np.maximum(counts, 1))[:, None]
    matrix[..., _STATS_AT:OF_THE_CANDIDATE] = stats
    matrix[..., OF_THE_CANDIDATE:] = shoppers.vectors[:, None]
    return matrix


def _largest(scores: Floats) -> Floats:
    """Return float32[b, 1]: the largest size of each shopper's scores."""
    largest: Floats = np.abs(scores).max(axis=1, keepdims=True, initial=1e-6)
    return largest


def _affinities(liked: Codes, wanted: Codes, weights: Floats) -> Floats:
    """Return the share of each shopper's liking that went to items with the candidate's values.

    `liked` [b, h, a] are the values of the items they met, of so many attributes, and `wanted`
    [b, c, a] those of candidates: float32[b, c, a].
    """
    # Unknown values are -1: counted at 0, and looked up there, where nothing may stand.
    width = int(max(liked.max(initial=-1), wanted.max(initial=-1))) + 2
    shoppers, attributes = len(liked), liked.shape[2]
    begins = 1 + width * np.arange(shoppers * attributes).reshape(-1, 1, attributes)
    counted = np.broadcast_to(weights[..., None], liked.shape).ravel()
    liking = np.bincount((begins + liked).ravel(), counted, minlength=begins.size * width)
    liking[::width] = 0
    affinities: Floats = liking.take(begins + wanted).astype(np.float32)
    return affinities
