"""The personal part of a model: candidates by taste, put in order by the ranker."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.vector import feature_vectors
from models.candidates import CANDIDATES, Scorer, best_allowed
from models.graphs import Graph
from models.items import Items, Mask, Rows
from models.parts import Floats, Personal
from models.ranker_features import (
    RANKER_FEATURES,
    ItemSide,
    ShopperSide,
    directions_of,
    ranker_matrix,
)
from models.request import RankedItem, RankRequest
from models.segment_table import GLOBAL, SegmentTable

POPULAR = "popular"
POPULAR_IN_SEGMENT = "popular_in_segment"
SIMILAR_TO = "similar_to:"

Chosen = tuple[Rows, Floats]
"""Rows of items, best first, and their scores."""


@dataclass(frozen=True, slots=True)
class Shopper:
    """A request, and its shopper's graded items that this model knows: rows and grades."""

    request: RankRequest
    rows: Rows
    grades: Floats


class PersonalRanker:
    """Ranks items for shoppers; a batch costs one run of each graph.

    Raises `ModelsError` where a graph fails or gives what is no number.
    """

    def __init__(self, personal: Personal, items: Items, segments: SegmentTable) -> None:
        """Open the graphs; raise `BundleError` where they do not fit `items`."""
        self._scorer = Scorer(personal.scorer, len(items))
        self._ranker = None if personal.ranker is None else open_ranker(personal.ranker)
        self._items = items
        self._segments = segments
        self._inputs = personal.inputs
        self._outputs = personal.outputs
        directions = directions_of(personal.outputs)
        self._sides = ItemSide(directions, personal.item_codes, personal.item_stats)

    def rank(self, shoppers: Sequence[Shopper]) -> list[list[RankedItem]]:
        """Return for each shopper the best k items that are allowed."""
        chosen = self.candidates(shoppers)
        if self._ranker is not None:
            chosen = _reordered(self._ranker, chosen, self.matrices(shoppers, chosen))
        return [self._told(shopper, *each) for shopper, each in zip(shoppers, chosen, strict=True)]

    def candidates(self, shoppers: Sequence[Shopper]) -> list[Chosen]:
        """Return for each shopper the allowed items that the scorer puts first."""
        scores = self._scorer.scores([(each.rows, each.grades) for each in shoppers])
        chosen = []
        for shopper, told in zip(shoppers, scores, strict=True):
            request = shopper.request
            allowed = self._items.allowed(request.filters, request.blocked)
            chosen.append(best_allowed(told, allowed, max(CANDIDATES, request.k)))
        return chosen

    def matrices(self, shoppers: Sequence[Shopper], chosen: Sequence[Chosen]) -> list[Floats]:
        """Return what the ranker sees of each shopper's candidates."""
        vectors = _vectors(shoppers)
        return [
            ranker_matrix(self._sides, self._side(shopper, vector), *each)
            for shopper, vector, each in zip(shoppers, vectors, chosen, strict=True)
        ]

    def nearest(self, index: int, allowed: Mask, k: int) -> Chosen | None:
        """Return the k allowed items whose factors point most the way of the item in row `index`.

        None where that item points nowhere, since nobody has met it.
        """
        directions = self._sides.directions
        if not directions[index].any():
            return None
        return best_allowed(directions @ directions[index], allowed, k)

    def _side(self, shopper: Shopper, vector: Floats) -> ShopperSide:
        shares = self._segments.shares(shopper.request.segment)
        return ShopperSide(shopper.rows, shopper.grades, vector, shares)

    def _told(self, shopper: Shopper, rows: Rows, scores: Floats) -> list[RankedItem]:
        k, ids = shopper.request.k, self._items.ids
        otherwise = POPULAR if shopper.request.segment == GLOBAL else POPULAR_IN_SEGMENT
        speaking = self._loudest(shopper, rows[:k])
        return [
            RankedItem(ids[row], score, otherwise if source < 0 else SIMILAR_TO + ids[source])
            for row, score, source in zip(
                rows[:k].tolist(), scores[:k].tolist(), speaking, strict=True
            )
        ]

    def _loudest(self, shopper: Shopper, rows: Rows) -> list[int]:
        """Return for each of `rows` the other graded item that adds most to its score, or -1."""
        history = shopper.rows
        parts = self._outputs[rows] @ (self._inputs[history] * shopper.grades[:, None]).T
        parts[rows[:, None] == history] = 0  # that it is like itself explains nothing
        best = parts.argmax(axis=1)
        adds = parts[np.arange(len(rows)), best] > 0
        sources: list[int] = np.where(adds, history[best], -1).tolist()
        return sources


def open_ranker(model: bytes) -> Graph:
    """Return the ranker in `model`; raise `BundleError` where it is none of this program's."""
    inputs = {"features": ("tensor(float)", (None, len(RANKER_FEATURES)))}
    return Graph("ranker.onnx", model, inputs, (None, 1))


def _vectors(shoppers: Sequence[Shopper]) -> Floats:
    records = [each.request.records for each in shoppers]
    ends = np.cumsum([len(each) for each in records], dtype=np.int64)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1]))
    moments = [each.request.moment for each in shoppers]
    return feature_vectors(np.concatenate(records), starts, ends, moments)


def _reordered(ranker: Graph, chosen: Sequence[Chosen], matrices: Sequence[Floats]) -> list[Chosen]:
    """Return the candidates as the ranker scores them, ties in the order they had."""
    features = np.concatenate(matrices)
    if not len(features):
        return list(chosen)
    told = ranker.run({"features": features})[:, 0]
    reordered, start = [], 0
    for rows, _ in chosen:
        scores = told[start : start + len(rows)]
        order = np.argsort(-scores, kind="stable")
        reordered.append((rows[order], scores[order]))
        start += len(rows)
    return reordered
