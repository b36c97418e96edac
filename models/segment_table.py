"""Segments as they are asked for: whose shopper is in which, and what each of them buys."""

import numpy as np
import numpy.typing as npt

from features.ids import Hashes, stable_hash
from models.candidates import best
from models.items import Mask, Rows
from models.parts import Bits, Floats, Segments
from models.pauses import pause
from models.reasons import IN_RANGE, POPULAR, Sources
from models.request import Listed

Order = npt.NDArray[np.int32]
"""Item rows, the most popular first."""

GLOBAL = 0
GLOBAL_NAME = "global"
MARKET = "market="
LISTED = 2_000
"""Most popular items kept in order for each segment; who wants more gets everybody's."""

_SORTED_AT_ONCE = 8_192

_BITS = np.left_shift(1, np.arange(8)).astype(np.uint8)
"""The bit of each item of a byte."""


class SegmentTable:
    """Rows of segments by name, shopper, market and history; popular items of each."""

    def __init__(self, segments: Segments) -> None:
        """Index `segments`."""
        self.names = segments.names
        self._rows = {name: row for row, name in enumerate(segments.names)}
        self._item_rows = segments.item_rows
        self._shoppers = self._all = segments.shoppers
        self._shopper_rows = segments.shopper_rows
        self._hidden: frozenset[int] = frozenset()
        self._popularity = segments.popularity
        self._most = np.maximum(segments.popularity.max(axis=1), 1e-9)
        popular = _sold(segments.popularity) if segments.popular is None else segments.popular
        self._popular, self._width = popular.ravel(), popular.shape[1]
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
        told = stable_hash(user_id)
        wanted = np.uint64(told)
        place = int(self._shoppers.searchsorted(wanted))
        if place == len(self._shoppers) or self._shoppers[place] != wanted:
            return GLOBAL
        return GLOBAL if told in self._hidden else int(self._shopper_rows[place])

    def hide(self, shoppers: Hashes | None) -> None:
        """Use what training knew of all but these (hashes), or of nobody where they are None."""
        if shoppers is None:
            self._shoppers = self._all[:0]
            return
        self._hidden = frozenset(shoppers[np.isin(shoppers, self._all)].tolist())
        self._shoppers = self._all

    def shared(self, user_id: str, country: object) -> int:
        """Return the row training put the shopper in, else their market's, else everybody's."""
        return self.of_shopper(user_id) or self.of_market(country)

    def of_item(self, item: int) -> int:
        """Return the taste row that an item (row) speaks for."""
        return int(self._item_rows[item])

    def looked_at(self, segment: int, item: int) -> int:
        """Return the taste that an item (row) speaks for, where a segment is no taste itself."""
        is_taste = segment != GLOBAL and not self.names[segment].startswith(MARKET)
        return segment if is_taste else self.of_item(item) or segment

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
        told = segments[:, None]
        shares: Floats = self._popularity[told, items] / self._most[told]
        return shares

    def popularity(self, segment: int, rows: Rows) -> Floats:
        """Return float32, of the shape of `rows`: how popular these are in a segment."""
        told: Floats = self._popularity[segment].take(rows)
        return told

    def sources(self, segments: Rows | int, items: Rows) -> Sources:
        """Return what of popularity speaks for `items`, of the shape that both make.

        That an item is popular in its segment, or else with everybody; of others nothing does.
        """
        places, bits = items >> 3, _BITS.take(items & 7)
        with_everybody = self._popular.take(places) & bits
        in_segment = self._popular.take(segments * self._width + places) & bits
        everybody = np.where(with_everybody, POPULAR, IN_RANGE)
        return np.where(in_segment, POPULAR - segments, everybody)

    def popular(self, segment: int, allowed: Mask, k: int) -> Listed:
        """Return at most `k` allowed items, best first.

        What the segment does not know comes from everybody.
        """
        own = _first(self._orders[segment], allowed, k)
        told = self._listed(own, segment)
        if segment != GLOBAL and len(own) < k:
            others = allowed.copy()
            others[own] = False
            more = _first(self._orders[GLOBAL], others, k - len(own))
            return told.then(self._listed(more, GLOBAL))
        return told

    def _listed(self, rows: Order, segment: int) -> Listed:
        scores = self._popularity[segment, rows]
        sources = self.sources(segment, rows.astype(np.int64))
        return Listed(rows.tolist(), scores.tolist(), sources.tolist())


def _sold(popularity: Floats) -> Bits:
    """Return what sells no less than the mean item: of earlier bundles no more is known."""
    packed = []
    for each in popularity:
        packed.append(np.packbits((each > 0) & (each >= each.mean()), bitorder="little"))
        pause()
    return np.array(packed)


def _first(order: Order, allowed: Mask, k: int) -> Order:
    """Return the first `k` rows of `order` that are allowed, looking no further than needed."""
    found: list[Order] = []
    start, size = 0, max(4 * k, 64)
    while k > 0 and start < len(order):
        ahead = order[start : start + size]
        found.append(ahead[allowed[ahead]][:k])
        k -= len(found[-1])
        start, size = start + size, 2 * size
    return np.concatenate(found) if found else order[:0]


def _descending(popularity: Floats) -> Order:
    """Return all rows in order: sorted in runs, which a stable sort then finds and merges."""
    runs = []
    for begin in range(0, len(popularity), _SORTED_AT_ONCE):
        run = popularity[begin : begin + _SORTED_AT_ONCE]
        runs.append(begin + np.argsort(-run, kind="stable"))
        pause()
    rows = np.concatenate(runs)
    order: Order = rows[np.argsort(-popularity[rows], kind="stable")].astype(np.int32)
    pause()
    return order


def _listed(popularity: Floats) -> Order:
    pause()
    ((order,), (scores,)) = best(popularity[None], LISTED)
    listed: Order = order[scores > 0].astype(np.int32)
    return listed
