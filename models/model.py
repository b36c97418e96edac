"""A model that serves: read-only, made from a verified bundle, all of numpy and onnxruntime.

rank    graded history ─ scorer, one run ─ 100 allowed each ─ features ─ ranker, one run ─ top k
popular what a segment buys, in order, without what is not allowed
similar the nearest items in the direction of their factors
"""

import time
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from features.events import RECORD, TYPE_CODES, EventType, Records
from features.history import RECENT_CAP, graded_items
from features.ids import stable_hashes
from features.vector import Moment
from models.candidates import WIDTHS
from models.errors import BundleError
from models.items import Items, Mask, Rows
from models.parts import Floats, Parts
from models.personal import (
    POPULAR,
    POPULAR_IN_SEGMENT,
    SIMILAR_TO,
    PersonalRanker,
    Shopper,
)
from models.request import Filters, RankedItem, RankRequest
from models.segment_table import GLOBAL, SegmentTable

Ranked: TypeAlias = list[RankedItem] | Exception | None
"""What became of one request, see `Model.rank`."""

_NOTHING = np.empty(0, np.uint64)
_WARM_BATCH = 16
_WARM_EVENTS = (*WIDTHS[:-1], RECENT_CAP)
"""Lengths of history to rehearse: one for each width the scorer meets."""


class Model:
    """Ranks for shoppers, and knows what is popular and what is similar.

    Once warm it changes no more, but for the filters it remembers: any thread may ask it.
    """

    def __init__(
        self,
        parts: Parts,
        version: str = "unsaved",
        created: str = "",
        *,
        is_whole: bool = True,
    ) -> None:
        """Open the graphs of `parts`; raise `BundleError` where they do not fit its items."""
        self.version = version
        self.created = created
        self.is_whole = is_whole
        """False for what is left of a bundle whose personal part cannot be used."""
        self.example_user = parts.example_user
        self.cost_s = 0.0
        """Seconds one shopper's share of a run takes, measured by `warm`."""
        self._items = Items(parts.catalogue)
        self._segments = SegmentTable(parts.segments)
        self.segment_names = self._segments.names
        self._personal = (
            None
            if parts.personal is None
            else PersonalRanker(parts.personal, self._items, self._segments)
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
        for a request that could not be ranked: it spoils no other request of the batch.
        """
        try:
            return self._rank(requests)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is one request's
            if len(requests) == 1:
                return [error]
            return [self.rank([request])[0] for request in requests]

    def popular(
        self, segment: int, blocked: npt.NDArray[np.uint64], filters: Filters, k: int
    ) -> list[RankedItem]:
        """Return what the segment buys, then what everybody buys, without what is not allowed."""
        return self._popular(segment, self._items.allowed(filters, blocked), k)

    def similar(self, index: int, k: int, filters: Filters | None = None) -> list[RankedItem]:
        """Return the items nearest to the one in row `index`, without itself.

        Where nothing is known of its neighbours, what those buy who like such items.
        """
        allowed = self._items.allowed(filters or Filters(), _NOTHING)
        allowed[index] = False
        nearest = None if self._personal is None else self._personal.nearest(index, allowed, k)
        if nearest is None:
            segment = self._segments.of_history(np.array([index]), np.ones(1, np.float32))
            return self._popular(segment, allowed, k)
        ids = self._items.ids
        return [
            RankedItem(ids[row], score, SIMILAR_TO + ids[index])
            for row, score in zip(*(each.tolist() for each in nearest), strict=True)
        ]

    def ranker_inputs(self, requests: Sequence[RankRequest]) -> list[tuple[Rows, Floats] | None]:
        """Return each request's candidates and what the ranker sees of them, or None.

        int64[c] item rows, best by the scorer first, and float32[c, ranker features]: training
        reads them here, so that it sees what serving will.
        """
        shoppers = self._shoppers(requests)
        told = [each for each in shoppers if each is not None]
        if self._personal is None or not told:
            return [None] * len(requests)
        chosen = self._personal.candidates(told)
        matrices = iter(self._personal.matrices(told, chosen))
        rows = iter([rows for rows, _ in chosen])
        return [None if each is None else (next(rows), next(matrices)) for each in shoppers]

    def warm(self) -> None:
        """Run everything at the sizes that come, and measure what a shopper costs.

        Raises `BundleError` where that fails.
        """
        if self._personal is None:
            return
        for events in _WARM_EVENTS:
            request = RankRequest(self._rehearsed(events), Moment(events), _NOTHING, 10)
            for batch in ([request], [request] * _WARM_BATCH):
                started = time.perf_counter()
                answer = self.rank(batch)[0]
                self.cost_s = (time.perf_counter() - started) / len(batch)
                if isinstance(answer, Exception):
                    raise BundleError(f"{self.version}: does not rank: {answer}") from answer

    def _rank(self, requests: Sequence[RankRequest]) -> list[Ranked]:
        shoppers = self._shoppers(requests)
        told = [each for each in shoppers if each is not None]
        if self._personal is None or not told:
            return [None] * len(requests)
        ranked = iter(self._personal.rank(told))
        return [None if each is None else next(ranked) for each in shoppers]

    def _shoppers(self, requests: Sequence[RankRequest]) -> list[Shopper | None]:
        if self._personal is None:
            return [None] * len(requests)
        graded = [self._graded(request.records) for request in requests]
        return [
            Shopper(request, rows, grades) if len(rows) else None
            for request, (rows, grades) in zip(requests, graded, strict=True)
        ]

    def _graded(self, records: Records) -> tuple[Rows, Floats]:
        graded = graded_items(records)
        rows = self._items.rows_of(graded.items)
        known = rows >= 0
        return rows[known], graded.grades[known]

    def _popular(self, segment: int, allowed: Mask, k: int) -> list[RankedItem]:
        ids = self._items.ids
        return [
            RankedItem(ids[row], score, POPULAR if source == GLOBAL else POPULAR_IN_SEGMENT)
            for row, score, source in self._segments.popular(segment, allowed, k)
        ]

    def _rehearsed(self, events: int) -> Records:
        """Return a click a millisecond, on one item after the other."""
        records = np.zeros(events, RECORD)
        records["ts"] = np.arange(events)
        records["item"] = np.resize(stable_hashes(self._items.ids[:events]), events)
        records["tag"] = TYPE_CODES[EventType.CLICK]
        return records
