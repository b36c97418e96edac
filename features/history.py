"""What a shopper's events say of each item: how much it was liked, and whether it may be shown.

Grades follow the measurements behind the default model: low stars are nearly ignored, not
dropped; a click says something from the first one on. All of it is computed from the two
rings that are kept per shopper, whose caps are part of the definition: a shopper with more
events looks the same online and offline.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.events import RECORD, TYPE_CODES, VALUE_SCALE, EventType, Records, type_codes
from features.grouping import Hashes, Ints, grouped

RECENT_CAP = 200
"""Latest events kept of any type but impressions (ring `recent`)."""

HISTORY_CAP = 256
"""Latest purchases, ratings and refusals kept (ring `history`)."""

GRADED_ITEMS = 50
"""Latest distinct items whose grades describe a shopper's taste."""

HISTORY_TYPES = frozenset({EventType.PURCHASE, EventType.RATING, EventType.NOT_INTERESTED})
"""What is remembered in the long ring."""

RECENT_TYPES = frozenset(EventType) - {EventType.IMPRESSION}
"""What is remembered in the short ring."""

_FIXED_GRADES = {
    EventType.CLICK: 0.3,
    EventType.ADD_TO_CART: 0.6,
    EventType.PURCHASE: 1.0,
}
_CODE_GRADES = np.zeros(16, np.float32)
for _kind, _grade in _FIXED_GRADES.items():
    _CODE_GRADES[TYPE_CODES[_kind]] = _grade

_RATING = TYPE_CODES[EventType.RATING]
_ADDED = TYPE_CODES[EventType.ADD_TO_CART]
_OWNED, _REFUSED = 1, 2
_MARKS = np.zeros(16, np.uint8)
_MARKS[[TYPE_CODES[kind] for kind in HISTORY_TYPES]] = _OWNED
_MARKS[TYPE_CODES[EventType.NOT_INTERESTED]] |= _REFUSED
_BASKET = np.zeros(16, bool)
_BASKET[[TYPE_CODES[EventType.ADD_TO_CART], TYPE_CODES[EventType.REMOVE_FROM_CART]]] = True


@dataclass(frozen=True, slots=True)
class Tastes:
    """What the events of many shoppers say of items.

    `graded_by` int64[g], `graded` uint64[g] and `grades` float32[g]: shopper, item hash and grade,
    shoppers in order, and of each the item told of last is last. `blocked_by` int64[b] and
    `blocked` uint64[b]: what must not be shown to whom, bought, rated, refused, or in the basket
    now.
    """

    graded_by: Ints
    graded: Hashes
    grades: npt.NDArray[np.float32]
    blocked_by: Ints
    blocked: Hashes


def grades_of(records: Records) -> npt.NDArray[np.float32]:
    """Return the grade of each record, float32[n] in 0..1; 0 says nothing of taste."""
    return _grades(type_codes(records), records)


def _grades(codes: npt.NDArray[np.uint32], records: Records) -> npt.NDArray[np.float32]:
    grades = _CODE_GRADES[codes]
    rated = codes == _RATING
    if rated.any():
        stars = records["value"][rated]
        steps = np.where(
            stars >= 4 * VALUE_SCALE, 1.0, np.where(stars >= 3.5 * VALUE_SCALE, 0.5, 0.1)
        )
        grades[rated] = steps
    return grades


def tastes_of(records: Records, shoppers: Ints, limit: int = GRADED_ITEMS) -> Tastes:
    """Return what time-sorted `records` say, `shoppers` (int64[n], ascending) telling whose.

    Of a shopper the latest `limit` distinct graded items count. An item met more than once has
    its best grade; a refused one has none.
    """
    items, codes = np.ascontiguousarray(records["item"]), type_codes(records)
    grades = _grades(codes, records)
    if not len(items):
        return Tastes(shoppers, items, grades, shoppers, items)
    order, first = grouped(items, shoppers)
    codes, grades, one_each = codes.take(order), grades.take(order), order.take(first)
    items, by = items.take(one_each), shoppers.take(one_each)
    marks = np.bitwise_or.reduceat(_MARKS.take(codes), first)
    best = np.maximum.reduceat(grades, first)
    (told,) = ((best > 0) & (marks < _REFUSED)).nonzero()
    last = np.maximum.reduceat(np.where(grades > 0, order, -1), first)
    told = _latest(told.take(last.take(told).argsort()), by, limit)
    blocked = marks > 0
    basket = _BASKET.take(codes)
    if basket.any():
        # Even for taken out, odd for put in, and the later the larger.
        moves = np.where(basket, 2 * order + (codes == _ADDED), -2)
        blocked |= np.maximum.reduceat(moves, first) % 2 == 1
    return Tastes(by[told], items[told], best[told], by[blocked], items[blocked])


def merge_rings(rings: Sequence[tuple[Records, Records]]) -> tuple[Records, Ints]:
    """Return the events of each shopper's time-sorted (recent, history), and whose they are.

    The long ring counts up to the event with which the short one begins. Shoppers come one after
    the other, int64[n] has their numbers.
    """
    sizes = np.array([(len(history), len(recent)) for recent, history in rings], np.int64).reshape(
        -1, 2
    )
    sizes[:, 0] = _older(rings, sizes)
    parts = [
        part
        for (recent, history), older in zip(rings, sizes[:, 0].tolist(), strict=True)
        for part in (history[:older], recent)
    ]
    return _joined(parts), np.repeat(np.arange(len(rings)), sizes.sum(axis=1))


def _joined(parts: Sequence[Records]) -> Records:
    """Return the events of all parts, in a thirtieth of the time that `np.concatenate` takes."""
    return np.frombuffer(b"".join(parts), RECORD)  # type: ignore[arg-type] # arrays are buffers


def _older(rings: Sequence[tuple[Records, Records]], sizes: Ints) -> Ints:
    """Return how many events of each long ring stand before the first of the short one, int64[n].

    `sizes` int64[n, 2] are those of the long and of the short rings.
    """
    both = np.flatnonzero(sizes.all(axis=1))
    if not len(both):
        return sizes[:, 0]
    some = [rings[row] for row in both.tolist()]
    history = _joined([each for _, each in some])
    opened = _joined([each[:1] for each, _ in some])
    by = np.repeat(np.arange(len(both)), sizes[both, 0])
    ts, first = history["ts"], opened["ts"].take(by)
    older = ts < first
    if (tied := ts == first).any():  # in the order of the rings, by tag
        older[tied] = history["tag"][tied] < opened["tag"].take(by[tied])
    told = sizes[:, 0].copy()
    told[both] = np.bincount(by, older, len(both))
    return told


def _latest(told: Ints, by: Ints, limit: int) -> Ints:
    """Return the last `limit` of each shopper."""
    if len(told) <= limit:
        return told
    whose = by.take(told)
    ends = np.bincount(whose).cumsum()
    return told[ends.take(whose) - np.arange(len(told)) <= limit]
