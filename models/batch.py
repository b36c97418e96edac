"""The requests of one run as columns: what their shoppers did, joined and told apart by number.

numpy takes as long for forty shoppers as for one, as long as they stand in one array.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from features.computation.slices import Slices
from features.computation.vector import feature_vectors
from features.history import GRADES, Bought, Tastes, bought, merge_rings, tastes_of
from features.ids import Hashes
from features.moments import Moment, Moments
from models.candidates import padded
from models.items import Items, Mask
from models.parts import Floats, Rows
from models.ranker_features import OF_THE_SHOPPER
from models.reasons import KIND_OF_CODE, Kind, Sources, because
from models.request import ANY_IN_STOCK, Filters, RankRequest
from models.rules.compiled import Arrangement, CompiledRules
from models.rules.declared import Page
from models.segment_table import SegmentTable
from models.used import Used

_AGAIN, _RATED = because(Kind.BUY_AGAIN), because(Kind.RATED_BEFORE)


class Batch:
    """Requests, and of each shopper the graded items that the model knows.

    `counts` int64[b] says how many those are, `items` int64[b, h] which (rows, latest last, -1
    behind them) and `grades` float32[b, h] how much they were liked (0 behind them); `met` and
    `liked` are the same no wider than they must be. `segments` is int64[b].
    """

    def __init__(
        self,
        requests: Sequence[RankRequest],
        items: Items,
        segments: SegmentTable,
        rules: CompiledRules | None = None,
        version: str = "",
    ) -> None:
        """Join the requests; `version` is the model's that is asked."""
        self.version = version
        self.requests = requests
        self._items = items
        self.records, self.by = merge_rings([(each.recent, each.history) for each in requests])
        by_code = GRADES if rules is None or rules.grades is None else rules.grades
        tastes = tastes_of(self.records, self.by, by_code=by_code)
        self.again: tuple[Rows, Rows, Sources] | None = None
        """Whose (number), which item (row) was bought or rated and may come back, and why it is
        shown then; None: nothing may."""

        if rules is not None and rules.windows_ms is not None:
            tastes = self._without_returning(tastes, rules.windows_ms)
        self._tastes = tastes
        rows = items.rows_of(tastes.graded)
        known = rows >= 0
        by, rows, grades = tastes.graded_by[known], rows[known], tastes.grades[known]
        self.counts, self.items, self.grades = padded(by, rows, grades, len(requests))
        self._codes = tastes.graded_codes[known]
        longest = max(self.counts.tolist(), default=1) or 1
        self.met, self.liked = self.items[:, :longest], self.grades[:, :longest]
        self._forbidden: tuple[Rows, Rows] | None = None
        self.missing: list[int] = []
        """How many features of each shopper are not known, once `vectors` were asked for."""

        self._vectors: Floats | None = None
        self.used: Used | None = None
        """The features of the shoppers and their moments, once `vectors` were asked for."""

        self._scored: list[tuple[Rows | slice, Floats]] = []
        liked = segments.of_histories(by, rows, grades, len(requests))
        self.segments = np.array(
            [self._segment(place, segments, taste) for place, taste in enumerate(liked.tolist())],
            np.int64,
        )

    def __len__(self) -> int:
        """Return the number of requests."""
        return len(self.requests)

    def blocked(self) -> list[Hashes]:
        """Return for each request the hashes of what its history forbids."""
        blocked = self._tastes.blocked
        if not len(blocked):
            return [blocked] * len(self)
        bounds = self._tastes.blocked_by.searchsorted(np.arange(len(self) + 1)).tolist()
        return [blocked[begin:end] for begin, end in pairwise(bounds)]

    def reasons(self) -> Rows:
        """Return int64[b, h]: `met` as sources of what is shown, see `models.reasons`."""
        reasons = self.met.copy()
        reasons[self.met >= 0] += KIND_OF_CODE.take(self._codes)  # both shopper by shopper
        return reasons

    def forbidden(self) -> tuple[Rows, Rows]:
        """Return whose (number) and which item (row) must not be shown, whatever the filter.

        int64[f] each: what histories forbid, and what requests exclude. Computed once.
        """
        if self._forbidden is None:
            self._forbidden = self._looked_up()
        return self._forbidden

    def _segment(self, place: int, segments: SegmentTable, taste: int) -> int:
        """Return a shopper's segment: the one asked for, else their taste, else what is shared.

        What training knew has become untrue of whoever has no taste any more, and turned down an
        item that speaks for it.
        """
        request = self.requests[place]
        if request.segment is not None:
            return request.segment
        if taste:
            return taste
        known = segments.of_shopper(request.user_id)
        if known and known not in map(segments.of_item, self._blocked_rows(place)):
            return known
        return segments.of_market(request.moment.home)

    def _blocked_rows(self, place: int) -> list[int]:
        begin, end = self._tastes.blocked_by.searchsorted((place, place + 1))
        rows = self._items.rows_of(self._tastes.blocked[begin:end])
        told: list[int] = rows[rows >= 0].tolist()
        return told

    def _looked_up(self) -> tuple[Rows, Rows]:
        by, hashes = self._tastes.blocked_by, self._tastes.blocked
        sizes = [len(each.excluded) for each in self.requests]
        if any(sizes):
            by = np.concatenate((by, np.repeat(np.arange(len(self)), sizes)))
            hashes = np.concatenate((hashes, *(each.excluded for each in self.requests)))
        if not len(hashes):
            return by, by
        rows = self._items.rows_of(hashes)
        known = rows >= 0
        return by[known], rows[known]

    def forbid(self, scores: Floats) -> None:
        """Set in `scores` float32[b, items] what must not be shown to -inf."""
        scores[self.forbidden()] = -np.inf
        told, page, closed = None, None, None
        for place, request in enumerate(self.requests):
            if request.filters is not told or request.page is not page:
                told, page = request.filters, request.page
                closed = self._items.closed(told, page)
            if closed is not None:
                scores[place, closed] = -np.inf

    def scored(self, places: Rows | slice, scores: Floats) -> None:
        """Keep the scores float32[g, c] of what was ranked for some shoppers, as it is."""
        self._scored.append((places, scores))

    def scores_of(self, place: int) -> Floats | None:
        """Return float32[c]: by what was ranked for a shopper, -inf for what is not there.

        None where nothing was, or less than usual is allowed: those have other scores for good.
        """
        request = self.requests[place]
        if len(request.excluded) or request.filters != ANY_IN_STOCK:
            return None
        for places, scores in self._scored:
            numbers = np.arange(len(self))[places] if isinstance(places, slice) else places
            if len(at := np.flatnonzero(numbers == place)):
                told: Floats = scores[at[0]]
                return told
        return None

    def places_by_filters(self) -> dict[tuple[Filters, Page], Rows]:
        """Return the numbers of the requests that have each filter, on each page."""
        places: dict[tuple[Filters, Page], list[int]] = {}
        for place, request in enumerate(self.requests):
            places.setdefault((request.filters, request.page), []).append(place)
        return {asked: np.array(told) for asked, told in places.items()}

    def open(self, places: Rows, arrangement: Arrangement) -> Mask:
        """Return bool[places, pool]: what of an arrangement's pool may be shown to whom."""
        pool = arrangement.pool
        told = np.ones((len(places), len(pool)), np.bool_)
        by, gone = self.forbidden()
        number = np.full(len(self), -1)
        number[places] = np.arange(len(places))
        column, row = arrangement.column.take(gone), number.take(by)
        there = (column >= 0) & (row >= 0)
        told[row[there], column[there]] = False
        for place, each in enumerate(places.tolist()):
            request = self.requests[each]
            closed = self._items.closed(request.filters, request.page)
            if closed is not None:
                told[place] &= ~closed.take(pool)
        return told

    def _without_returning(self, tastes: Tastes, windows_ms: Rows) -> Tastes:
        """Return the tastes without what was bought so long ago that it may be shown again."""
        told: Bought = bought(self.records, self.by)
        rows = self._items.rows_of(told.items)
        now_ms = np.array([each.moment.as_of_ms for each in self.requests], np.int64)
        waits = windows_ms.take(self._items.categories_of(rows))
        back = (rows >= 0) & (now_ms.take(told.by) - told.ts >= waits)
        self.again = told.by[back], rows[back], np.where(told.was_paid[back], _AGAIN, _RATED)
        gone = np.isin(
            _pairs(tastes.blocked_by, tastes.blocked), _pairs(told.by[back], told.items[back])
        )
        return replace(tastes, blocked_by=tastes.blocked_by[~gone], blocked=tastes.blocked[~gone])

    def vectors(self) -> Floats:
        """Return what is known of the shoppers, float32[b, len(SHOPPER)], how little first.

        It is computed once.
        """
        if self._vectors is None:
            self._vectors = self._computed_vectors()
        return self._vectors

    def _computed_vectors(self) -> Floats:
        sizes = np.bincount(self.by, minlength=len(self))
        ends = np.cumsum(sizes)
        slices = Slices.whole(ends - sizes, ends)
        moments = self._moments(ends, sizes)
        told = feature_vectors(self.records, slices, Moments.of(moments))
        self.used = Used.of(moments, told)
        missing = told.missing[:, OF_THE_SHOPPER].sum(axis=1)
        self.missing = missing.tolist()
        return np.column_stack((missing.astype(np.float32), told.values))

    def _moments(self, ends: Rows, sizes: Rows) -> list[Moment]:
        """Return the requests' moments, but after the last event: clocks of pages differ."""
        moments = [each.moment for each in self.requests]
        if not len(self.records):
            return moments
        latest = np.where(sizes > 0, self.records["ts"][ends - 1], -1)
        for place, last in enumerate(latest.tolist()):
            if moments[place].as_of_ms <= last:
                moments[place] = moments[place]._replace(as_of_ms=last + 1)
        return moments


def _pairs(by: Rows, hashes: Hashes) -> npt.NDArray[np.void]:
    """Return shoppers and items as one value each."""
    pairs = np.empty(len(by), [("by", np.int64), ("item", np.uint64)])
    pairs["by"], pairs["item"] = by, hashes
    return pairs
