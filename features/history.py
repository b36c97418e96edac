"""What a shopper's events say of each item: how much it was liked, and whether it may be shown.

Grades follow the measurements behind the default model: low stars are nearly ignored, not
dropped; a click says something from the first one on. All of it is computed from the two
rings that are kept per shopper, whose caps are part of the definition: a shopper with more
events looks the same online and offline.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.events import TYPE_CODES, VALUE_SCALE, EventType, Records, type_codes

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
_REFUSED = TYPE_CODES[EventType.NOT_INTERESTED]
_OWNED = np.zeros(16, bool)
_OWNED[[TYPE_CODES[kind] for kind in HISTORY_TYPES]] = True
_BASKET = np.zeros(16, bool)
_BASKET[[TYPE_CODES[EventType.ADD_TO_CART], TYPE_CODES[EventType.REMOVE_FROM_CART]]] = True
_ADDED = TYPE_CODES[EventType.ADD_TO_CART]


@dataclass(frozen=True, slots=True)
class GradedItems:
    """The items that describe a taste, latest last: hashes uint64[n], grades float32[n]."""

    items: npt.NDArray[np.uint64]
    grades: npt.NDArray[np.float32]


def grades_of(records: Records) -> npt.NDArray[np.float32]:
    """Return the grade of each record, float32[n] in 0..1; 0 says nothing of taste."""
    codes = type_codes(records)
    grades = _CODE_GRADES[codes]
    rated = codes == _RATING
    if rated.any():
        stars = records["value"][rated]
        steps = np.where(
            stars >= 4 * VALUE_SCALE, 1.0, np.where(stars >= 3.5 * VALUE_SCALE, 0.5, 0.1)
        )
        grades[rated] = steps
    return grades


def graded_items(records: Records, limit: int = GRADED_ITEMS) -> GradedItems:
    """Return the latest `limit` distinct graded items of one shopper's time-sorted `records`.

    An item met more than once counts with its best grade; a refused item counts not at all.
    """
    grades = grades_of(records)
    told = grades > 0
    best: dict[int, float] = {}  # for so few items quicker than sorting them in numpy
    for item, grade in zip(records["item"][told].tolist(), grades[told].tolist(), strict=True):
        best[item] = max(best.pop(item, 0.0), grade)
    for item in refused_items(records).tolist():
        best.pop(item, None)
    latest = list(best.items())[-limit:]
    return GradedItems(
        np.array([item for item, _ in latest], np.uint64),
        np.array([grade for _, grade in latest], np.float32),
    )


def refused_items(records: Records) -> npt.NDArray[np.uint64]:
    """Return the hashes of the items the shopper is not interested in."""
    refused: npt.NDArray[np.uint64] = records["item"][type_codes(records) == _REFUSED]
    return refused


def blocked_items(records: Records) -> npt.NDArray[np.uint64]:
    """Return the hashes that must not be shown: bought, rated, refused, or in the basket now."""
    codes = type_codes(records)
    owned = records["item"][_OWNED[codes]]
    basket = _BASKET[codes]
    if not basket.any():
        return np.unique(owned)
    items, moves = records["item"][basket][::-1], codes[basket][::-1]
    held, latest = np.unique(items, return_index=True)
    return np.union1d(owned, held[moves[latest] == _ADDED])


def merge_rings(recent: Records, history: Records) -> Records:
    """Return both time-sorted rings as one: the long one up to where the short one begins."""
    if not len(recent):
        return history
    older = history[: np.searchsorted(history["ts"], recent["ts"][0])]
    return np.concatenate((older, recent)) if len(older) else recent
