"""Segments as they are asked for: whose shopper is in which, and what each of them buys."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from features.ids import stable_hash
from models.items import Mask, Rows
from models.parts import Floats, Segments

GLOBAL = 0
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
        self._shares = segments.popularity / np.maximum(
            segments.popularity.max(axis=1, keepdims=True), 1e-9
        )
        self._everybody = _descending(segments.popularity[GLOBAL])
        self._orders = [_listed(popularity) for popularity in segments.popularity]

    def named(self, name: str) -> int | None:
        """Return the row called `name`."""
        return self._rows.get(name)

    def of_market(self, country: object) -> int:
        """Return the row of shoppers who live in `country`, else everybody's."""
        return self._rows.get(f"{MARKET}{country}", GLOBAL)

    def of_shopper(self, user_id: str) -> int:
        """Return the row training put the shopper in, else everybody's."""
        wanted = stable_hash(user_id)
        place = int(np.searchsorted(self._shoppers, np.uint64(wanted)))
        if place == len(self._shoppers) or int(self._shoppers[place]) != wanted:
            return GLOBAL
        return int(self._shopper_rows[place])

    def of_history(self, items: Rows, grades: Floats) -> int:
        """Return the taste row that most of the graded `items` (rows) speak for."""
        rows = self._item_rows[items]
        told = rows > GLOBAL
        if not told.any():
            return GLOBAL
        return int(np.bincount(rows[told], grades[told]).argmax())

    def shares(self, segment: int) -> Floats:
        """Return float32[items]: popularity in the segment, the most popular item's being 1."""
        shares: Floats = self._shares[segment]
        return shares

    def popular(self, segment: int, allowed: Mask, k: int) -> Iterator[tuple[int, float, int]]:
        """Yield (row, popularity, segment) of at most `k` allowed items, best first.

        What the segment does not know comes from everybody.
        """
        seen: set[int] = set()
        for row, source in self._candidates(segment):
            if len(seen) == k:
                return
            if allowed[row] and row not in seen:
                seen.add(row)
                yield row, float(self._popularity[source, row]), source

    def _candidates(self, segment: int) -> Iterator[tuple[int, int]]:
        if segment != GLOBAL:
            yield from ((row, segment) for row in self._orders[segment].tolist())
        yield from ((row, GLOBAL) for row in self._everybody.tolist())


def _descending(popularity: Floats) -> npt.NDArray[np.int64]:
    return np.argsort(-popularity, kind="stable")


def _listed(popularity: Floats) -> npt.NDArray[np.int64]:
    order = _descending(popularity)[:LISTED]
    return order[popularity[order] > 0]
