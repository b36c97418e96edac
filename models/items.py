"""The items of a model: ids, rows, and which of them a filter lets through."""

from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from features.catalogue import Catalogue
from features.ids import stable_hashes
from models.request import Filters

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]

_REMEMBERED_BYTES = 1 << 23
_MOST_REMEMBERED = 256
"""Storefronts repeat their filters: the latest masks are kept, so many or 8 MiB of them."""


class Items:
    """The catalogue as it is asked for: by id, by hash, by filter."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Index `catalogue`."""
        self.ids = catalogue.item_ids
        self._category = catalogue.category
        self._price = catalogue.price
        self._in_stock = catalogue.in_stock
        self._rows = {item_id: row for row, item_id in enumerate(self.ids)}
        hashes = stable_hashes(self.ids)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]
        self._masks: OrderedDict[Filters, tuple[Mask, Mask | None]] = OrderedDict()
        self._remembered = min(max(_REMEMBERED_BYTES // len(self.ids), 4), _MOST_REMEMBERED)

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.ids)

    def row_of(self, item_id: str) -> int | None:
        """Return the row of an item, None where it is not of this catalogue."""
        return self._rows.get(item_id)

    def rows_of(self, hashes: npt.NDArray[np.uint64]) -> Rows:
        """Return the row of each item hash, int64[n], -1 where it is not of this catalogue."""
        places = np.searchsorted(self._hashes, hashes)
        places[places == len(self._hashes)] = 0
        rows: Rows = self._order[places]
        rows[self._hashes[places] != hashes] = -1
        return rows

    def allowed(self, filters: Filters, blocked: npt.NDArray[np.uint64]) -> Mask:
        """Return bool[items]: what passes `filters` and is not among the `blocked` hashes."""
        mask = self._told(filters)[0].copy()
        if len(blocked):
            rows = self.rows_of(blocked)
            mask[rows[rows >= 0]] = False
        return mask

    def closed(self, filters: Filters) -> Mask | None:
        """Return bool[items]: what does not pass `filters`; None where all pass."""
        return self._told(filters)[1]

    def _told(self, filters: Filters) -> tuple[Mask, Mask | None]:
        """Return what passes, and what does not if anything."""
        told = self._masks.get(filters)
        if told is None:
            mask = self._compute(filters)
            told = mask, None if mask.all() else ~mask
            self._masks[filters] = told
            if len(self._masks) > self._remembered:
                self._masks.popitem(last=False)
        return told

    def _compute(self, filters: Filters) -> Mask:
        mask: Mask = self._in_stock.copy() if filters.in_stock else np.ones(len(self), np.bool_)
        if filters.categories is not None:
            mask &= np.isin(self._category, filters.categories)
        if filters.price_min is not None:  # an unknown price passes no bound
            mask &= self._price >= filters.price_min
        if filters.price_max is not None:
            mask &= self._price <= filters.price_max
        return mask
