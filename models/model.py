"""A model that serves: read-only, made from a verified bundle, all of numpy and onnxruntime.

rank    graded history ─ scorer, one run ─ 100 allowed each ─ features ─ ranker, one run ─ top k
popular what a segment buys, in order, without what is not allowed
similar the nearest items in the direction of their factors
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from features.eventlog import empty_records
from features.events import Records
from features.history import graded_items
from features.vector import Moment, feature_vectors
from models.candidates import CANDIDATES, Scorer, best_allowed
from models.errors import ModelsError
from models.graphs import Graph
from models.items import Items, Mask, Rows
from models.parts import Floats, Parts, Personal
from models.ranker_features import (
    RANKER_FEATURES,
    ItemSide,
    ShopperSide,
    directions_of,
    ranker_matrix,
)
from models.request import Filters, RankedItem, RankRequest
from models.segment_table import GLOBAL, SegmentTable

POPULAR = "popular"
POPULAR_IN_SEGMENT = "popular_in_segment"
SIMILAR_TO = "similar_to:"

_NOTHING = np.empty(0, np.uint64)
_WARM_BATCH = 16


@dataclass(frozen=True, slots=True)
class _Graded:
    """A request with its shopper's graded items, as rows of this model."""

    place: int
    request: RankRequest
    rows: Rows
    grades: Floats


Ranked: TypeAlias = list[RankedItem] | Exception | None
"""What became of one request, see `Model.rank`."""


class Model:
    """Ranks for shoppers, and knows what is popular and what is similar.

    Nothing in it changes after `warm`, so one thread may rank while another loads its successor.
    """

    def __init__(self, parts: Parts, version: str = "unsaved", created: str = "") -> None:
        """Open the graphs of `parts`; raise `BundleError` where they do not fit its items."""
        self.version = version
        self.created = created
        self.example_user = parts.example_user
        self.cost_s = 0.0
        """Seconds one shopper's share of a run takes, measured by `warm`."""
        self._items = Items(parts.catalogue)
        self._segments = SegmentTable(parts.segments)
        self.segment_names = self._segments.names
        self._personal = (
            None if parts.personal is None else _PersonalPart(parts.personal, len(self._items))
        )

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self._items)

    @property
    def is_personal(self) -> bool:
        """Tell whether there was enough data for more than popular items."""
        return self._personal is not None

    def index_of(self, item_id: str) -> int | None:
        """Return the row of an item, None where the model does not know it."""
        return self._items.row_of(item_id)

    def item_id(self, index: int) -> str:
        """Return the id of the item in a row."""
        return self._items.ids[index]

    def indices_of(self, hashes: npt.NDArray[np.uint64]) -> Rows:
        """Return the rows of item hashes, int64[n], -1 for items the model does not know."""
        return self._items.rows_of(hashes)

    def segment_named(self, name: str) -> int | None:
        """Return the row of the segment called `name`, None where there is none."""
        return self._segments.named(name)

    def segment_of(self, records: Records) -> int:
        """Return the taste that a shopper's events speak for, 0 for none."""
        return self._segments.of_history(*self._graded(records))

    def segment_in_table(self, user_id: str) -> int:
        """Return the segment training put the shopper in, 0 for none."""
        return self._segments.of_shopper(user_id)

    def market_segment(self, country: object) -> int:
        """Return the segment of those who live in `country`, 0 for none."""
        return self._segments.of_market(country)

    def rank(self, requests: Sequence[RankRequest]) -> list[Ranked]:
        """Return each request's items, best first; k of them as long as so many are allowed.

        None stands for a shopper without a graded item that this model knows, an exception
        for a request that could not be ranked.
        """
        answers: list[Ranked] = [None] * len(requests)
        if self._personal is None:
            return answers
        shoppers = [
            _Graded(place, request, rows, grades)
            for place, request in enumerate(requests)
            for rows, grades in (self._graded(request.records),)
            if len(rows)
        ]
        if shoppers:
            for shopper, ranked in zip(shoppers, self._rank(self._personal, shoppers), strict=True):
                answers[shopper.place] = ranked
        return answers

    def popular(
        self, segment: int, blocked: npt.NDArray[np.uint64], filters: Filters, k: int
    ) -> list[RankedItem]:
        """Return what the segment buys, then what everybody buys, without what is not allowed."""
        return self._popular(segment, self._items.allowed(filters, blocked), k)

    def similar(self, index: int, k: int, filters: Filters | None = None) -> list[RankedItem]:
        """Return the items nearest to the one in row `index`, without itself."""
        allowed = self._items.allowed(filters or Filters(), _NOTHING)
        allowed[index] = False
        if self._personal is None:
            segment = self._segments.of_history(np.array([index]), np.ones(1, np.float32))
            return self._popular(segment, allowed, k)
        directions = self._personal.items.directions
        rows, scores = best_allowed(directions @ directions[index], allowed, k)
        reason = SIMILAR_TO + self._items.ids[index]
        return [
            RankedItem(self._items.ids[row], score, reason)
            for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
        ]

    def warm(self) -> None:
        """Run everything once at the sizes that come, and measure what a shopper costs."""
        if self._personal is None:
            return
        graded = _Graded(0, _REQUEST, np.zeros(1, np.int64), np.ones(1, np.float32))
        self._rank(self._personal, [graded])
        batch = [graded] * _WARM_BATCH
        self._rank(self._personal, batch)
        started = time.perf_counter()
        self._rank(self._personal, batch)
        self.cost_s = (time.perf_counter() - started) / _WARM_BATCH

    def _graded(self, records: Records) -> tuple[Rows, Floats]:
        graded = graded_items(records)
        rows = self._items.rows_of(graded.items)
        known = rows >= 0
        return rows[known], graded.grades[known]

    def _popular(self, segment: int, allowed: Mask, k: int) -> list[RankedItem]:
        return [
            RankedItem(
                self._items.ids[row], score, POPULAR if source == GLOBAL else POPULAR_IN_SEGMENT
            )
            for row, score, source in self._segments.popular(segment, allowed, k)
        ]

    def _rank(
        self, personal: "_PersonalPart", shoppers: Sequence[_Graded]
    ) -> list[list[RankedItem] | Exception]:
        scores = personal.scorer.scores([(each.rows, each.grades) for each in shoppers])
        chosen: list[tuple[Rows, Floats] | Exception] = []
        for shopper, told in zip(shoppers, scores, strict=True):
            allowed = self._items.allowed(shopper.request.filters, shopper.request.blocked)
            try:
                chosen.append(best_allowed(told, allowed))
            except ModelsError as error:
                chosen.append(error)
        if personal.ranker is not None:
            chosen = self._reranked(personal, personal.ranker, shoppers, chosen)
        return [
            each if isinstance(each, Exception) else self._told(personal, shopper, *each)
            for shopper, each in zip(shoppers, chosen, strict=True)
        ]

    def _reranked(
        self,
        personal: "_PersonalPart",
        ranker: Graph,
        shoppers: Sequence[_Graded],
        chosen: Sequence[tuple[Rows, Floats] | Exception],
    ) -> list[tuple[Rows, Floats] | Exception]:
        vectors = _shopper_vectors(shoppers)
        matrices = [
            ranker_matrix(personal.items, self._side(shopper, vector), *each)
            for shopper, vector, each in zip(shoppers, vectors, chosen, strict=True)
            if not isinstance(each, Exception)
        ]
        if not matrices:
            return list(chosen)
        told = ranker.run({"features": np.concatenate(matrices)})[:, 0]
        reranked: list[tuple[Rows, Floats] | Exception] = []
        start = 0
        for each in chosen:
            if isinstance(each, Exception):
                reranked.append(each)
                continue
            rows = each[0]
            reranked.append(_ordered(rows, told[start : start + len(rows)]))
            start += len(rows)
        return reranked

    def _side(self, shopper: _Graded, vector: Floats) -> ShopperSide:
        shares = self._segments.shares(shopper.request.segment)
        return ShopperSide(shopper.rows, shopper.grades, vector, shares)

    def _told(
        self, personal: "_PersonalPart", shopper: _Graded, rows: Rows, scores: Floats
    ) -> list[RankedItem]:
        rows, scores = rows[: shopper.request.k], scores[: shopper.request.k]
        speaking = personal.loudest(shopper.rows, shopper.grades, rows)
        ids = self._items.ids
        return [
            RankedItem(ids[row], score, SIMILAR_TO + ids[source] if source >= 0 else POPULAR)
            for row, score, source in zip(rows.tolist(), scores.tolist(), speaking, strict=True)
        ]


class _PersonalPart:
    def __init__(self, personal: Personal, items: int) -> None:
        self.scorer = Scorer(personal.scorer, items)
        self.ranker = None if personal.ranker is None else _ranker(personal.ranker)
        self._inputs = personal.inputs
        self._outputs = personal.outputs
        directions = directions_of(personal.outputs)
        self.items = ItemSide(directions, personal.item_codes, personal.item_stats)

    def loudest(self, history: Rows, grades: Floats, rows: Rows) -> list[int]:
        """Return for each of `rows` the item of `history` that adds most to its score, else -1."""
        parts = self._outputs[rows] @ (self._inputs[history] * grades[:, None]).T
        best = parts.argmax(axis=1)
        told = np.where(parts[np.arange(len(rows)), best] > 0, history[best], -1)
        return [int(each) for each in told]


def _ranker(model: bytes) -> Graph:
    inputs = {"features": ("tensor(float)", (None, len(RANKER_FEATURES)))}
    return Graph("ranker.onnx", model, inputs, (None, 1))


def _shopper_vectors(shoppers: Sequence[_Graded]) -> Floats:
    records = [each.request.records for each in shoppers]
    ends = np.cumsum([len(each) for each in records], dtype=np.int64)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1]))
    moments = [each.request.moment for each in shoppers]
    return feature_vectors(np.concatenate(records), starts, ends, moments)


def _ordered(rows: Rows, scores: Floats) -> tuple[Rows, Floats] | Exception:
    if not np.isfinite(scores).all():
        return ModelsError("ranker.onnx gave a score that is no number")
    order = np.argsort(-scores, kind="stable")
    return rows[order], scores[order]


_REQUEST = RankRequest(empty_records(), Moment(0), _NOTHING, CANDIDATES)
