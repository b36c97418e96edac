"""Why an item stands in a list, as one whole number that arrays can hold.

below 0      popular: -1 with everybody, -1 - s in the segment of row s
from 0 on    a kind, and the row of the item that speaks for it: kind * 2**32 + row

`models.items_json` writes them as a code for programs and a sentence for people.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from features.events import TYPE_CODES, EventType

Sources = npt.NDArray[np.int64]

POPULAR = -1
"""Nothing in the shopper's history speaks for it, and everybody buys it."""

_ROW_BITS = 32


class Kind(IntEnum):
    """What speaks for an item; those in `NAMING` name another one."""

    SIMILAR_TO = 0
    BECAUSE_YOU_BOUGHT = 1
    BECAUSE_YOU_RATED = 2
    BECAUSE_YOU_ADDED = 3
    BECAUSE_YOU_VIEWED = 4
    PINNED = 5
    PROMOTED = 6
    EXPLORE = 7
    BUY_AGAIN = 8
    BOUGHT_WITH = 9
    VIEWED_BEFORE = 10
    RATED_BEFORE = 11
    IN_RANGE = 12


NAMING = frozenset(
    (
        Kind.SIMILAR_TO,
        Kind.BECAUSE_YOU_BOUGHT,
        Kind.BECAUSE_YOU_RATED,
        Kind.BECAUSE_YOU_ADDED,
        Kind.BECAUSE_YOU_VIEWED,
        Kind.BOUGHT_WITH,
    )
)

KIND_OF_CODE = np.zeros(16, np.int64)
"""int64[16]: what an event's type, by its code, makes of its item, in the place of a kind."""

for _type, _kind in {
    EventType.PURCHASE: Kind.BECAUSE_YOU_BOUGHT,
    EventType.RATING: Kind.BECAUSE_YOU_RATED,
    EventType.ADD_TO_CART: Kind.BECAUSE_YOU_ADDED,
    EventType.CLICK: Kind.BECAUSE_YOU_VIEWED,
}.items():
    KIND_OF_CODE[TYPE_CODES[_type]] = _kind << _ROW_BITS


IN_RANGE = Kind.IN_RANGE << _ROW_BITS
"""Nothing speaks for it: it may be shown, and there was nothing better left."""


def because(kind: Kind, row: int = 0) -> int:
    """Return the source of this kind, with the row of the item it names."""
    return (kind << _ROW_BITS) + row


def popular_in(segment: int) -> int:
    """Return the source of what the segment in a row buys; row 0 is everybody."""
    return POPULAR - segment


def explained(source: int) -> tuple[Kind | None, int]:
    """Return kind and row of a source; the kind is None and the row a segment's where popular."""
    if source < 0:
        return None, POPULAR - source
    return Kind(source >> _ROW_BITS), source & ((1 << _ROW_BITS) - 1)
