"""Segments as they are asked for: whose shopper is in which, and what each of them buys."""

import numpy as np

from features.ids import stable_hash
from models.items import Mask, Rows
from models.parts import Floats, Segments
from models.request import POPULAR, POPULAR_IN_SEGMENT, Listed

GLOBAL = 0
GLOBAL_NAME = "global"
MARKET = "market="
LISTED = 2_000
"""Most popular items kept in order for each segment; who wants more gets everybody's."""


class SegmentTable:
    """Rows of segments by name, shopper, market and history; popular items of each."""

    def __init__(self, segments: Segments) -> None:
        """Index `segments`."""
        self.names = segments.names
        self._rows = {name: row for row, name in enumerate(segments.names)}
        self._item_rows = segments.item_rows
        self._shoppers = segments.shoppers
        self._shopper_rows = segments.shopper_rows
        self._popularity = segments.popularity
        self._shares = shares_of(segments.popularity)
        everybody, *others = segments.popularity
        self._orders = [_descending(everybody), *map(_listed, others)]

    def named(self, name: str) -> int | None:
        """Return the row called `name`."""
        return self._rows.get(name)

    def of_market(self, country: object) -> int:
        """Return the row of shoppers who live in `country`, else everybody's."""
        return GLOBAL if country is None else self._rows.get(f"{MARKET}{country}", GLOBAL)

    def of_shopper(self, user_id: str) -> int:
        """Return the row training put the shopper in, else everybody's."""
        if not len(self._shoppers):
            return GLOBAL
        wanted = np.uint64(stable_hash(user_id))
        place = int(self._shoppers.searchsorted(wanted))
        if place == len(self._shoppers) or self._shoppers[place] != wanted:
            return GLOBAL
        return int(self._shopper_rows[place])

    def shared(self, user_id: str, country: object) -> int:
        """Return the row training put the shopper in, else their market's, else everybody's."""
        return self.of_shopper(user_id) or self.of_market(country)

    def of_item(self, item: int) -> int:
        """Return the taste row that an item (row) speaks for."""
        return int(self._item_rows[item])

    def of_histories(self, by: Rows, items: Rows, grades: Floats, count: int) -> Rows:
        """Return the taste row that most of each shopper's graded `items` (rows) speak for.

        `by` has the number of the shopper of each grade; int64[count].
        """
        rows = self._item_rows[items]
        told = rows > GLOBAL
        width = len(self.names)
        places = by[told] * width + rows[told]
        liking = np.bincount(places, grades[told], minlength=count * width)
        liked: Rows = liking.reshape(count, width).argmax(axis=1)
        return liked

    def shares(self, segments: Rows, items: Rows) -> Floats:
        """Return float32[b, c]: how popular `items` int64[b, c] are in `segments` int64[b].

        The most popular item of a segment has 1.
        """
        shares: Floats = self._shares[segments[:, None], items]
        return shares

    def popular(self, segment: int, allowed: Mask, k: int) -> Listed:
        """Return at most `k` allowed items, best first.

        What the segment does not know comes from everybody.
        """
        own = _first(self._orders[segment], allowed, k)
        told = self._listed(own, segment)
        if segment != GLOBAL and len(own) < k:
            others = allowed.copy()
            others[own] = False
            more = self._listed(_first(self._orders[GLOBAL], others, k - len(own)), GLOBAL)
            return Listed(
                told.rows + more.rows, told.scores + more.scores, told.sources + more.sources
            )
        return told

    def _listed(self, rows: Rows, segment: int) -> Listed:
        scores = self._popularity[segment, rows]
        source = POPULAR if segment == GLOBAL else POPULAR_IN_SEGMENT
        return Listed(rows.tolist(), scores.tolist(), [source] * len(rows))


def shares_of(popularity: Floats) -> Floats:
    """Return `popularity` float32[rows, items] with the most popular item of each row at 1."""
    shares: Floats = popularity / np.maximum(popularity.max(axis=1, keepdims=True), 1e-9)
    return shares


def _first(order: Rows, allowed: Mask, k: int) -> Rows:
    """Return the first `k` rows of `order` that are allowed, looking no further than needed."""
    found: list[Rows] = []
    start, size = 0, max(4 * k, 64)
    while k > 0 and start < len(order):
        ahead = order[start : start + size]
        found.append(ahead[allowed[ahead]][:k])
        k -= len(found[-1])
        start, size = start + size, 2 * size
    return np.concatenate(found) if found else order[:0]


def _descending(popularity: Floats) -> Rows:
    return np.argsort(-popularity, kind="stable")


def _listed(popularity: Floats) -> Rows:
    order = _descending(popularity)[:LISTED]
    return order[popularity[order] > 0]
