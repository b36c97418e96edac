"""The requests of one run as columns: what their shoppers did, joined and told apart by number.

numpy takes as long for forty shoppers as for one, as long as they stand in one array.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from features.history import merge_rings, tastes_of
from features.moments import Moment, Moments
from features.slices import Slices
from features.vector import FeatureVectors, feature_vectors
from models.candidates import padded
from models.items import Items
from models.parts import Floats, Rows
from models.ranker_features import OF_THE_SHOPPER
from models.request import Filters, Hashes, RankRequest
from models.segment_table import SegmentTable


class Used(NamedTuple):
    """What a ranker was told of the shoppers of a batch, and for which moments."""

    moments: Sequence[Moment]
    features: FeatureVectors


class Batch:
    """Requests, and of each shopper the graded items that the model knows.

    `counts` int64[b] says how many those are, `items` int64[b, h] which (rows, latest last, -1
    behind them) and `grades` float32[b, h] how much they were liked (0 behind them); `met` and
    `liked` are the same no wider than they must be. `segments` is int64[b].
    """

    def __init__(
        self, requests: Sequence[RankRequest], items: Items, segments: SegmentTable
    ) -> None:
        """Join the requests."""
        self.requests = requests
        self._items = items
        self._records, self._by = merge_rings([(each.recent, each.history) for each in requests])
        self._tastes = tastes = tastes_of(self._records, self._by)
        rows = items.rows_of(tastes.graded)
        known = rows >= 0
        by, rows, grades = tastes.graded_by[known], rows[known], tastes.grades[known]
        self.counts, self.items, self.grades = padded(by, rows, grades, len(requests))
        longest = max(int(self.counts.max(initial=0)), 1)
        self.met, self.liked = self.items[:, :longest], self.grades[:, :longest]
        self.missing: list[int] = []
        """How many features of each shopper are not known, once `vectors` were asked for."""

        self.used: Used | None = None
        """The features of the shoppers and their moments, once `vectors` were asked for."""

        liked = segments.of_histories(by, rows, grades, len(requests))
        self.segments = _segments(requests, segments, liked)

    def __len__(self) -> int:
        """Return the number of requests."""
        return len(self.requests)

    def blocked(self) -> list[Hashes]:
        """Return for each request the hashes of what its history forbids."""
        blocked = self._tastes.blocked
        bounds = np.searchsorted(self._tastes.blocked_by, np.arange(len(self) + 1)).tolist()
        return [blocked[begin:end] for begin, end in pairwise(bounds)]

    def forbidden(self) -> tuple[Rows, Rows]:
        """Return whose (number) and which item (row) must not be shown, whatever the filter.

        int64[f] each: what histories forbid, and what requests exclude.
        """
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
        told, closed = None, None
        for place, request in enumerate(self.requests):
            if request.filters is not told:
                told, closed = request.filters, self._items.closed(request.filters)
            if closed is not None:
                scores[place, closed] = -np.inf

    def places_by_filters(self) -> dict[Filters, Rows]:
        """Return the numbers of the requests that have each filter."""
        places: dict[Filters, list[int]] = {}
        for place, request in enumerate(self.requests):
            places.setdefault(request.filters, []).append(place)
        return {filters: np.array(told) for filters, told in places.items()}

    def vectors(self) -> Floats:
        """Return what is known of the shoppers, float32[b, len(SHOPPER)], how little first."""
        sizes = np.bincount(self._by, minlength=len(self))
        ends = np.cumsum(sizes)
        slices = Slices.whole(ends - sizes, ends)
        moments = self._moments(ends, sizes)
        told = feature_vectors(self._records, slices, Moments.of(moments))
        self.used = Used(moments, told)
        missing = told.missing[:, OF_THE_SHOPPER].sum(axis=1)
        self.missing = missing.tolist()
        return np.column_stack((missing.astype(np.float32), told.values))

    def _moments(self, ends: Rows, sizes: Rows) -> list[Moment]:
        """Return the requests' moments, but after the last event: clocks of pages differ."""
        moments = [each.moment for each in self.requests]
        if not len(self._records):
            return moments
        latest = np.where(sizes > 0, self._records["ts"][ends - 1], -1)
        for place, last in enumerate(latest.tolist()):
            if moments[place].as_of_ms <= last:
                moments[place] = moments[place]._replace(as_of_ms=last + 1)
        return moments


def _segments(requests: Sequence[RankRequest], segments: SegmentTable, tastes: Rows) -> Rows:
    """Return each shopper's segment: the one asked for, else their taste, else what is shared."""
    told = []
    for request, taste in zip(requests, tastes.tolist(), strict=True):
        if request.segment is not None:
            told.append(request.segment)
        else:
            told.append(taste or segments.shared(request.user_id, request.moment.home))
    return np.array(told, np.int64)
