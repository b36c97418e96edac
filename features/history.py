"""What a shopper's events say of each item: how much it was liked, and whether it may be shown.

Grades follow the measurements behind the default model: where items are learnt of, low stars are
nearly ignored, not dropped; a click says something from the first one on. Of whoever a list is
made for they are dropped: what is rated low speaks for nothing. All of it is computed from the
two rings that are kept per shopper, whose caps are part of the definition: a shopper with more
events looks the same online and offline.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.events import (
    CODE_MASK,
    RECORD,
    TYPE_CODES,
    VALUE_SCALE,
    EventType,
    Records,
    type_codes,
)
from features.grouping import Ints, grouped
from features.ids import Hashes

RECENT_CAP = 200
"""Latest events kept of any type but impressions (ring `recent`)."""

HISTORY_CAP = 256
"""Latest purchases, ratings and refusals kept (ring `history`)."""

GRADED_ITEMS = 50
"""Latest distinct items whose grades describe a shopper's taste."""

HISTORY_TYPES = frozenset({EventType.PURCHASE, EventType.RATING, EventType.NOT_INTERESTED})
"""What is remembered in the long ring."""

HIDING_TYPES = HISTORY_TYPES | {EventType.ADD_TO_CART}
"""After what an item is not shown to who did it."""

RECENT_TYPES = frozenset(EventType) - {EventType.IMPRESSION}
"""What is remembered in the short ring."""

_FIXED_GRADES = {
    EventType.CLICK: 0.3,
    EventType.ADD_TO_CART: 0.6,
    EventType.PURCHASE: 1.0,
    EventType.RATING: 1.0,
}
GRADES = np.zeros(16, np.float32)
"""What an event says of an item, by the code of its type; of a rating, what five stars say."""

for _kind, _grade in _FIXED_GRADES.items():
    GRADES[TYPE_CODES[_kind]] = _grade

LOW_STARS = 3.0
"""Who rates an item with fewer did not like it: to them it speaks for nothing that is like it."""

LOW_GRADE = 0.1
"""What a rating of fewer than 3.5 stars is worth of one of five, where items are learnt of."""

_RATING = TYPE_CODES[EventType.RATING]
_BOUGHT = TYPE_CODES[EventType.PURCHASE]
_ADDED = TYPE_CODES[EventType.ADD_TO_CART]
_REMOVED = TYPE_CODES[EventType.REMOVE_FROM_CART]
_OWNED, _REFUSED = 1, 2
_MARKS = np.zeros(16, np.uint8)
_MARKS[[TYPE_CODES[kind] for kind in HISTORY_TYPES]] = _OWNED
_MARKS[TYPE_CODES[EventType.NOT_INTERESTED]] |= _REFUSED
_BASKET = np.full(16, -1)
"""int64[16]: 1 where an event puts its item into the basket, 0 where it takes it out, else -1."""

_BASKET[[_ADDED, _REMOVED]] = 1, 0
_UNPAID, _PAID = _BASKET.copy(), np.full(16, -1)
"""The same where buying takes out of it as well, and where nothing else does."""

_UNPAID[_BOUGHT] = 0
_PAID[[_ADDED, _BOUGHT]] = 1, 0


@dataclass(frozen=True, slots=True)
class Tastes:
    """What the events of many shoppers say of items.

    `graded_by` int64[g], `graded` uint64[g], `grades` float32[g] and `graded_codes` int64[g]:
    shopper, item hash, grade and the type of what gave it, shoppers in order, and of each the item
    told of last is last. `blocked_by` int64[b] and
    `blocked` uint64[b]: what must not be shown to whom, bought, rated, refused, or in the basket
    now.
    """

    graded_by: Ints
    graded: Hashes
    grades: npt.NDArray[np.float32]
    graded_codes: Ints
    blocked_by: Ints
    blocked: Hashes


def grades_of(records: Records) -> npt.NDArray[np.float32]:
    """Return the grade of each record, float32[n] in 0..1; 0 says nothing of taste."""
    return _grades(type_codes(records), records, GRADES)


def grades_by_code(weights: Mapping[EventType, float]) -> npt.NDArray[np.float32]:
    """Return `GRADES` with other weights; that of a rating is what five stars are worth."""
    grades = GRADES.copy()
    for kind, weight in weights.items():
        grades[TYPE_CODES[kind]] = weight
    return grades


def _grades(
    codes: npt.NDArray[np.uint32], records: Records, by_code: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    grades = by_code[codes]
    rated = codes == _RATING
    if np.count_nonzero(rated):
        stars = records["value"][rated]
        steps = np.where(
            stars >= 4 * VALUE_SCALE, 1.0, np.where(stars >= 3.5 * VALUE_SCALE, 0.5, LOW_GRADE)
        )
        grades[rated] *= steps
    return grades


def tastes_of(
    records: Records,
    shoppers: Ints,
    limit: int = GRADED_ITEMS,
    by_code: npt.NDArray[np.float32] = GRADES,
) -> Tastes:
    """Return what time-sorted `records` say, `shoppers` (int64[n], ascending) telling whose.

    Of a shopper the latest `limit` distinct graded items count. An item met more than once has
    its best grade; one that was refused, or rated low and neither bought nor rated better since,
    has none, and of one that was taken out of the basket it does not count that it was put in.
    `by_code` float32[16] grades events, see `GRADES`.
    """
    items, codes = np.ascontiguousarray(records["item"]), type_codes(records)
    grades, is_low = _grades(codes, records, by_code), _are_low(codes, records, LOW_STARS)
    if not len(items):
        return Tastes(shoppers, items, grades, shoppers, shoppers, items)
    order, first = grouped(items, shoppers)
    codes, grades, one_each = codes.take(order), grades.take(order), order.take(first)
    items, by = items.take(one_each), shoppers.take(one_each)
    marks = np.bitwise_or.reduceat(_MARKS.take(codes), first)
    blocked = marks > 0
    moves = _BASKET.take(codes)
    if np.count_nonzero(moves >= 0):
        last = _last_of(moves, order, first)
        blocked |= last == 1
        is_out = np.repeat(last == 0, np.diff(first, append=len(order)))
        grades[is_out & (codes == _ADDED)] = 0
    best, best_codes = _best(grades, codes, first)
    is_told = (best > 0) & (marks < _REFUSED)
    if np.count_nonzero(is_low):
        is_told &= ~_rated_low(codes, is_low.take(order), order, first)
    (told,) = is_told.nonzero()
    last = np.maximum.reduceat(np.where(grades > 0, order, -1), first)
    told = _latest(told.take(last.take(told).argsort()), by, limit)
    return Tastes(by[told], items[told], best[told], best_codes[told], by[blocked], items[blocked])


def _best(
    grades: npt.NDArray[np.float32], codes: npt.NDArray[np.uint32], first: Ints
) -> tuple[npt.NDArray[np.float32], Ints]:
    """Return the best grade of each group of events and the type that gave it.

    The bits of grades are in their order; of equal ones the type that comes first counts.
    """
    ranked = (grades.view(np.int32).astype(np.int64) << 4) + (CODE_MASK - codes)
    best = np.maximum.reduceat(ranked, first)
    return (best >> 4).astype(np.int32).view(np.float32), CODE_MASK - (best & CODE_MASK)


class Bought(NamedTuple):
    """Items that shoppers bought or rated, and may be shown again some day.

    `by` int64[n] tells whose, ascending, `items` uint64[n] which, `ts` int64[n] when last, in
    milliseconds, `was_paid` bool[n] whether it was bought, not rated only. What was refused since
    ever, is rated low, or is in the basket now, is not among them: buying takes out of it.
    """

    by: Ints
    items: Hashes
    ts: Ints
    was_paid: npt.NDArray[np.bool_]


def bought(records: Records, shoppers: Ints) -> Bought:
    """Return what time-sorted `records` say was bought, `shoppers` as in `tastes_of`."""
    items, codes = np.ascontiguousarray(records["item"]), type_codes(records)
    if not len(items):
        return Bought(shoppers, items, np.empty(0, np.int64), np.empty(0, np.bool_))
    is_low = _are_low(codes, records, LOW_STARS)
    order, first = grouped(items, shoppers)
    codes = codes.take(order)
    marks = _MARKS.take(codes)
    owned = np.where(marks == _OWNED, records["ts"].take(order), -1)
    last = np.maximum.reduceat(owned, first)
    is_told = (last >= 0) & (np.bitwise_or.reduceat(marks, first) < _REFUSED)
    is_told &= _last_of(_UNPAID.take(codes), order, first) != 1
    is_told &= ~_rated_low(codes, is_low.take(order), order, first)
    was_paid = np.logical_or.reduceat(codes == _BOUGHT, first)[is_told]
    one_each = order.take(first)[is_told]
    by, whats = shoppers.take(one_each), items.take(one_each)
    return Bought(by, whats, last[is_told].astype(np.int64), was_paid)


class Disliked(NamedTuple):
    """Items that shoppers did not like: whose int64[n], ascending, which uint64[n], how much.

    Of each shopper the item that was told of last is last.
    """

    by: Ints
    items: Hashes
    weights: npt.NDArray[np.float32]


def disliked(
    records: Records,
    shoppers: Ints,
    by_code: npt.NDArray[np.float32],
    stars_below: float,
) -> Disliked:
    """Return what time-sorted `records` say against items, `shoppers` as in `tastes_of`.

    `by_code` float32[16] weighs events by the code of their type: refusals, ratings with fewer
    than `stars_below` that no better one and no purchase followed, and removals from the basket
    of what was not put in after, nor bought since it was put in.
    """
    items, codes = np.ascontiguousarray(records["item"]), type_codes(records)
    weights, is_low = by_code.take(codes), _are_low(codes, records, stars_below)
    weights[(codes == _RATING) & ~is_low] = 0
    if not weights.any():
        return Disliked(shoppers[:0], items[:0], weights[:0])
    order, first = grouped(items, shoppers)
    codes, weights = codes.take(order), weights.take(order)
    is_back = _last_of(_PAID.take(codes), order, first) == 0
    is_back |= _last_of(_BASKET.take(codes), order, first) == 1
    is_better = ~_rated_low(codes, is_low.take(order), order, first)
    sizes = np.diff(first, append=len(order))
    weights[np.repeat(is_back, sizes) & (codes == _REMOVED)] = 0
    weights[np.repeat(is_better, sizes) & (codes == _RATING)] = 0
    most = np.maximum.reduceat(weights, first)
    last = np.maximum.reduceat(np.where(weights > 0, order, -1), first)
    found = last.argsort()[np.count_nonzero(last < 0) :]
    told = last.take(found)
    return Disliked(shoppers.take(told), items.take(told), most.take(found))


def _are_low(
    codes: npt.NDArray[np.uint32], records: Records, stars_below: float
) -> npt.NDArray[np.bool_]:
    """Return which events are ratings with fewer stars, bool[n]."""
    told: npt.NDArray[np.bool_] = codes == _RATING
    if np.count_nonzero(told):
        told &= records["value"] < stars_below * VALUE_SCALE
    return told


def _rated_low(
    codes: npt.NDArray[np.uint32], is_low: npt.NDArray[np.bool_], order: Ints, first: Ints
) -> npt.NDArray[np.bool_]:
    """Return which groups of events end, of purchases and ratings, with one that `is_low`."""
    is_verdict = (codes == _RATING) | (codes == _BOUGHT)
    told: npt.NDArray[np.bool_] = _last_of(np.where(is_verdict, is_low, -1), order, first) == 1
    return told


def _last_of(told: Ints, order: Ints, first: Ints) -> Ints:
    """Return what the last event of each group tells, int64[groups], -1 where none tells anything.

    `told` int64[n] is 1, 0 or -1 for nothing; events have the places `order` int64[n] in time, and
    groups begin at `first`.
    """
    latest = np.maximum.reduceat(np.where(told >= 0, 2 * order + told, -1), first)
    last: Ints = np.where(latest >= 0, latest % 2, -1)
    return last


def merge_rings(rings: Sequence[tuple[Records, Records]]) -> tuple[Records, Ints]:
    """Return the events of each shopper's time-sorted (recent, history), and whose they are.

    The long ring counts up to the event with which the short one begins. Shoppers come one after
    the other, int64[n] has their numbers.
    """
    parts, sizes = list[Records](), list[int]()
    for recent, history in rings:
        older = _older(recent, history)
        if older:
            parts.append(history[:older])
        parts.append(recent)
        sizes.append(older + len(recent))
    return _joined(parts), np.arange(len(rings)).repeat(sizes)


def _joined(parts: Sequence[Records]) -> Records:
    """Return the events of all parts, in a thirtieth of the time that `np.concatenate` takes."""
    if len(parts) == 1:
        return parts[0]
    return np.frombuffer(b"".join(parts), RECORD)  # type: ignore[arg-type] # arrays are buffers


def _older(recent: Records, history: Records) -> int:
    """Return how many events of the long ring stand before the first of the short one.

    Of the moment at which that one begins they are those that it does not hold.
    """
    if not len(recent) or not len(history):
        return len(history)
    ts, _, _, tag = recent.item(0)
    first_ts, _, _, first_tag = history.item(0)
    if first_ts > ts or (first_ts, first_tag) == (ts, tag):  # it has them all, as most often
        return 0
    begin, end = (history["ts"].searchsorted(ts, side) for side in ("left", "right"))
    held = {*recent[: recent["ts"].searchsorted(ts, "right")].tolist()}
    return int(begin) + sum(each not in held for each in history[begin:end].tolist())


def _latest(told: Ints, by: Ints, limit: int) -> Ints:
    """Return the last `limit` of each shopper."""
    if len(told) <= limit:
        return told
    whose = by.take(told)
    ends = np.bincount(whose).cumsum()
    return told[ends.take(whose) - np.arange(len(told)) <= limit]
