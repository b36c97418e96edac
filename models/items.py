"""The items of a model: ids, rows, and which of them a filter lets through."""

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from features.ids import Hashes, stable_hash
from models.hash_index import HashIndex
from models.item_table import ItemTable
from models.request import Filters
from models.rules.declared import Page

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]

_REMEMBERED_BYTES = 1 << 23
_MOST_REMEMBERED = 256
"""Storefronts repeat their filters: the latest masks are kept, so many or 8 MiB of them."""


class Items:
    """The catalogue as it is asked for: by id, by hash, by filter."""

    def __init__(self, table: ItemTable) -> None:
        """Look things up in `table`."""
        self.ids = table.item_ids
        self._table = table
        self._index = HashIndex(table.hashes)
        self._masks: OrderedDict[tuple[Filters, Page], tuple[Mask, Mask | None]] = OrderedDict()
        self._never: Mapping[Page, Mask | None] = {}
        self._remembered = min(max(_REMEMBERED_BYTES // max(len(table), 1), 4), _MOST_REMEMBERED)

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self._table)

    def row_of(self, item_id: str) -> int | None:
        """Return the row of an item, None where it is not of this catalogue."""
        (row,) = self.rows_of(np.array([stable_hash(item_id)], np.uint64)).tolist()
        return row if row >= 0 and self.ids[row] == item_id else None

    def rows_of(self, hashes: Hashes) -> Rows:
        """Return the row of each item hash, int64[n], -1 where it is not of this catalogue."""
        places = self._index.places(hashes)
        known = places >= 0
        rows = np.full(len(hashes), -1)
        rows[known] = self._table.hash_rows.take(places[known])
        return rows

    def close(self, never: Mapping[Page, Mask | None]) -> None:
        """Keep from each page what is in its mask bool[items], whatever the filter."""
        self._never = never
        self._masks.clear()

    def restock(self, table: ItemTable) -> None:
        """Go by the prices and the stock of `table`, of the same items, from now on."""
        self._table = table
        self._masks.clear()

    def categories_of(self, rows: Rows) -> Rows:
        """Return the number of each item's category, of the shape of `rows`."""
        told: Rows = self._table.category.take(rows).astype(np.int64)
        return told

    def category_mask(self, categories: Rows) -> Mask:
        """Return bool[items]: what is of one of these categories."""
        told: Mask = np.isin(self._table.category, categories)
        return told

    def allowed(self, filters: Filters, blocked: Hashes, page: Page = Page.OTHER) -> Mask:
        """Return bool[items]: what passes `filters` and is not among the `blocked` hashes."""
        mask = self._told(filters, page)[0].copy()
        if len(blocked):
            rows = self.rows_of(blocked)
            mask[rows[rows >= 0]] = False
        return mask

    def closed(self, filters: Filters, page: Page = Page.OTHER) -> Mask | None:
        """Return bool[items]: what does not pass `filters`; None where all pass."""
        return self._told(filters, page)[1]

    def _told(self, filters: Filters, page: Page) -> tuple[Mask, Mask | None]:
        """Return what passes, and what does not if anything."""
        told = self._masks.get((filters, page))
        if told is None:
            mask = self._compute(filters)
            if (never := self._never.get(page)) is not None:
                mask &= ~never
            told = mask, None if mask.all() else ~mask
            self._masks[filters, page] = told
            if len(self._masks) > self._remembered:
                self._masks.popitem(last=False)
        return told

    def _compute(self, filters: Filters) -> Mask:
        table = self._table
        mask: Mask = table.in_stock.copy() if filters.in_stock else np.ones(len(self), np.bool_)
        if filters.categories is not None:
            wanted = np.array([each in filters.categories for each in table.categories], np.bool_)
            mask &= wanted[table.category]
        if filters.price_min is not None:  # an unknown price passes no bound
            mask &= table.price >= filters.price_min
        if filters.price_max is not None:
            mask &= table.price <= filters.price_max
        return mask
