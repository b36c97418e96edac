"""The first stage: of all items, those that fit each shopper of a batch best.

exact        every item is scored                     as long as that is cheap
approximate  an index is asked, what it finds scored  in large catalogues
             but of what little a filter leaves, all

Which of them serves is measured when a model is warmed.
"""

import time
from collections.abc import Callable

import numpy as np

from models.batch import Batch
from models.candidates import Chosen, best
from models.item_index import ItemIndex
from models.items import Items, Mask
from models.parts import Floats, Rows
from models.pauses import pause

EXACT_WITHIN_S = 0.05e-3
"""Seconds a shopper that scoring every item may take; beyond, an index is asked."""

FEW = 20_000
"""Items: as many as a filter may leave for all of them to be scored in any case."""

_TRIES = 3

Pairs = tuple[Rows, Rows]
"""Whose (number) and which item (row), see `Batch.forbidden`."""


class Retrieval:
    """Chooses candidates by inner product of user and item vectors."""

    def __init__(self, outputs: Floats, items: Items, index: ItemIndex | None) -> None:
        """Choose from `outputs` float32[items, rank]; until `choose`, exactly."""
        self._outputs = outputs
        self._items = items
        self._index = index
        self.is_exact = True

    @property
    def has_index(self) -> bool:
        """Tell whether there is anything to choose."""
        return self._index is not None

    def candidates(self, users: Floats, batch: Batch, count: int) -> Chosen:
        """Return the `count` best items that are allowed, or as many as there are.

        `users` float32[b, rank] are the vectors of the batch's shoppers.
        """
        if self.is_exact or self._index is None:
            return self._exact(users, batch, count)
        return self._approximate(self._index, users, batch, count)

    def choose(self, users: Floats, batch: Batch, count: int) -> None:
        """Measure both ways for `batch`, and take the exact one if it is cheap or the cheaper."""
        if self._index is None:
            return
        index = self._index
        exact_s = _cost_s(lambda: self._exact(users, batch, count))
        index_s = _cost_s(lambda: self._approximate(index, users, batch, count))
        self.is_exact = exact_s <= max(EXACT_WITHIN_S * len(users), index_s)

    def _exact(self, users: Floats, batch: Batch, count: int) -> Chosen:
        scores = users @ self._outputs.T
        batch.forbid(scores)
        return best(scores, count)

    def _approximate(self, index: ItemIndex, users: Floats, batch: Batch, count: int) -> Chosen:
        told = Chosen(
            np.full((len(users), count), -1), np.full((len(users), count), -np.inf, np.float32)
        )
        forbidden = batch.forbidden()
        for (filters, page), places in batch.places_by_filters().items():
            closed = self._items.closed(filters, page)
            left = len(self._items) if closed is None else int((~closed).sum())
            if closed is not None and left <= FEW:
                some = self._of_few(users, forbidden, places, min(count, left), closed)
            else:
                some = self._of_many(index, users, forbidden, places, count, closed)
            width = some.rows.shape[1]
            told.rows[places, :width], told.scores[places, :width] = some
        return told

    def _of_few(
        self, users: Floats, forbidden: Pairs, places: Rows, count: int, closed: Mask
    ) -> Chosen:
        """Score what a filter leaves open, all of it."""
        rows = np.flatnonzero(~closed)
        scores = np.full((len(users), len(rows)), -np.inf, np.float32)
        scores[places] = users[places] @ self._outputs[rows].T
        by, gone = forbidden
        column = np.searchsorted(rows, gone)
        there = np.isin(gone, rows)
        scores[by[there], column[there]] = -np.inf
        chosen = best(scores[places], count)
        return Chosen(rows[chosen.rows], chosen.scores)

    def _of_many(
        self,
        index: ItemIndex,
        users: Floats,
        forbidden: Pairs,
        places: Rows,
        count: int,
        closed: Mask | None,
    ) -> Chosen:
        """Score what the index finds; where that is not enough, let it look everywhere."""
        by, gone = forbidden
        pairs = by * len(self._items) + gone
        most = count + int(np.bincount(by).max(initial=0))

        def found(*, everywhere: bool) -> Chosen:
            rows = index.nearest(users[places], most, closed, everywhere=everywhere)
            scores = np.einsum("bcr,br->bc", self._outputs[rows], users[places])
            is_forbidden = np.isin(places[:, None] * len(self._items) + rows, pairs)
            scores[is_forbidden | (rows < 0)] = -np.inf
            return Chosen(rows, scores)

        rows, scores = found(everywhere=False)
        if (scores > -np.inf).sum(axis=1).min() < count:
            rows, scores = found(everywhere=True)
        order = np.lexsort((rows, -scores), axis=1)[:, :count]
        return Chosen(
            np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)
        )


def _cost_s(run: Callable[[], object]) -> float:
    """Return the seconds of the quickest of a few runs."""
    costs = []
    for _ in range(_TRIES):
        started = time.perf_counter()
        run()
        costs.append(time.perf_counter() - started)
        pause()
    return min(costs)
