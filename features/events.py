"""The one event schema, used online and offline, and its packed record.

An event is validated once, at the door, and becomes a frozen `Event`. What is kept per
shopper is the 24-byte `RECORD`, little-endian, which numpy reads without a copy:

    ts     int64   milliseconds since the epoch, the server's stamp at arrival; where it is stored,
                   the upper 16 bits tell its turn among those of its millisecond
    item   uint64  `stable_hash(item_id)`, 0 where the event has no item
    value  int32   fixed point, hundredths (money, stars or seconds), so that sums are exact
    tag    uint32  28 bits of the event id's hash, then 4 bits of the event type
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from struct import Struct
from typing import Any

import numpy as np
import numpy.typing as npt

from features import anonymous
from features.errors import FieldError
from features.ids import BLANKS, MAX_ID_LENGTH, Hashes, stable_hash


class EventType(StrEnum):
    """What a shopper did, or was shown."""

    IMPRESSION = "impression"
    CLICK = "click"
    ADD_TO_CART = "add_to_cart"
    REMOVE_FROM_CART = "remove_from_cart"
    PURCHASE = "purchase"
    RATING = "rating"
    NOT_INTERESTED = "not_interested"
    SESSION = "session"


CODE_MASK = 0xF
TYPE_CODES = {kind: code for code, kind in enumerate(EventType)}
"""The 4-bit code of each event type; part of the stored format, append only."""

VALUE_SCALE = 100
"""Stored values are integers: hundredths of the unit."""

RECORD = np.dtype([("ts", "<i8"), ("item", "<u8"), ("value", "<i4"), ("tag", "<u4")])
"""One event of one shopper as it is stored."""

TURN_AT = 48
"""The bit of `ts` at which its turn begins where it is stored: see `features.turns`."""

_PACKED = Struct("<qQiI")

Records = npt.NDArray[np.void]
"""A one-dimensional array of `RECORD`."""

EARLIEST_S = 0.0
LATEST_S = 4_102_444_800.0
"""1970-01-01 and 2100-01-01: outside, a timestamp is a mistake (milliseconds, most often)."""

AHEAD_S = 86_400
"""So far ahead of this machine's clock a time in a file may lie: by a wrong zone, say."""

AHEAD = "lies more than a day in the future: check its year, and this machine's clock"
"""Why a time further ahead is refused."""

OUTSIDE = "expected a time between 1970 and 2100: correct the row, or leave it out"
"""Why a time is refused that can be read."""

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Characters that no identifier holds: they are a file read the wrong way, or an attack on logs."""

MAX_STARS = 5
"""The best that a rating says; the worst is 0."""

_MAX_VALUE = (2**31 - 1) / VALUE_SCALE
_NEEDS_ITEM = frozenset(EventType) - {EventType.SESSION}


@dataclass(frozen=True, slots=True)
class Event:
    """One validated event. `timestamp` is the client's, in seconds UTC."""

    event_id: str
    type: EventType
    user_id: str
    timestamp: float
    item_id: str | None = None
    value: float | None = None
    recommendation_id: str | None = None
    session_id: str | None = None
    context: Mapping[str, Any] | None = None


_FIELDS = frozenset(Event.__dataclass_fields__)
_UNKNOWN = f"unknown field; there are {', '.join(Event.__dataclass_fields__)}"
_TYPES = {str(kind): kind for kind in EventType}


def parse_event(raw: object, *, field: str = "event") -> Event:
    """Return the `Event` in `raw`, or raise `FieldError` naming the field below `field`."""
    if not isinstance(raw, dict):
        raise FieldError(field, f"expected an object, got {type(raw).__name__}")
    try:
        return _parsed(raw)
    except FieldError as error:
        raise FieldError(f"{field}.{error.field}", error.message) from None


def _parsed(raw: Mapping[str, Any]) -> Event:
    told = raw.get
    if not _FIELDS.issuperset(raw):
        raise FieldError(min(set(raw) - _FIELDS)[:MAX_ID_LENGTH], _UNKNOWN)
    kind = _parse_type(told("type"))
    item_id = _optional_id(told("item_id"), "item_id")
    if item_id is None and kind in _NEEDS_ITEM:
        raise FieldError("item_id", f"required for a {kind} event")
    context = told("context")
    if context is not None and not isinstance(context, dict):
        raise FieldError("context", f"expected an object, got {type(context).__name__}")
    session_id = _optional_id(told("session_id"), "session_id")
    return Event(
        parse_id(told("event_id"), "event_id"),
        kind,
        parse_shopper(told("user_id"), session_id),
        parse_timestamp(told("timestamp"), "timestamp"),
        item_id,
        _parse_value(told("value"), kind, "value"),
        _optional_id(told("recommendation_id"), "recommendation_id"),
        session_id,
        context,
    )


def parse_id(raw: object, field: str) -> str:
    """Return the identifier in `raw`: 1 to 128 characters of Unicode, none for control.

    Blanks at its ends are no part of it.
    """
    if not isinstance(raw, str):
        raise FieldError(
            field, "required" if raw is None else f"expected a string, got {raw!r:.40}"
        )
    told = raw if raw.strip() == raw else raw.strip(BLANKS)  # the former is cheap
    if not 0 < len(told) <= MAX_ID_LENGTH:
        raise FieldError(field, f"expected 1 to {MAX_ID_LENGTH} characters, got {len(told)}")
    if told.isascii() and told.isprintable():  # as nearly all are
        return told
    if CONTROL.search(told):
        raise FieldError(field, f"expected no control characters, got {told!r:.40}")
    try:
        told.encode()
    except UnicodeEncodeError:
        raise FieldError(field, "expected valid Unicode, got a lone surrogate") from None
    return told


def parse_shopper(raw: object, session_id: str | None) -> str:
    """Return whose it is: the shopper's who is named, else the session's."""
    if raw is None and session_id is not None:
        return anonymous.shopper_of(session_id)
    return parse_id(raw, "user_id")


def parse_timestamp(raw: object, field: str) -> float:
    """Return `raw` as seconds UTC between 1970 and 2100."""
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise FieldError(field, f"expected seconds since 1970 (UTC), got {raw!r:.40}")
    if not EARLIEST_S <= raw <= LATEST_S:  # also refuses NaN and the infinities
        hint = " (milliseconds?)" if LATEST_S < raw <= LATEST_S * 1e3 else ""
        raise FieldError(field, f"expected seconds between 1970 and 2100, got {raw!r:.40}{hint}")
    return float(raw)


def _parse_type(raw: object) -> EventType:
    kind = _TYPES.get(raw) if isinstance(raw, str) else None
    if kind is None:
        raise FieldError("type", f"expected one of {', '.join(EventType)}; got {raw!r:.40}")
    return kind


def _optional_id(raw: object, field: str) -> str | None:
    return None if raw is None else parse_id(raw, field)


def _parse_value(raw: object, kind: EventType, field: str) -> float | None:
    if raw is None:
        if kind is EventType.RATING:
            raise FieldError(field, "required for a rating event: the stars")
        return None
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise FieldError(field, f"expected a number, got {raw!r:.40}")
    if not 0 <= raw <= _MAX_VALUE:  # also refuses NaN and the infinities
        raise FieldError(field, f"expected a number from 0 to {_MAX_VALUE:,.2f}, got {raw!r:.40}")
    if kind is EventType.RATING and raw > MAX_STARS:
        raise FieldError(field, f"expected 0 to {MAX_STARS} stars, got {raw!r:.40}")
    return float(raw)


def event_tag(event_id: str, kind: EventType) -> int:
    """Return the 32-bit tag that tells this event from every other of its shopper."""
    return (stable_hash(event_id) & 0xFFFFFFF) << 4 | TYPE_CODES[kind]


def id_bits(id_hashes: Hashes) -> npt.NDArray[np.uint32]:
    """Return what tags hold of event ids with these hashes, uint32[n]; the type's bits are 0."""
    return ((id_hashes & np.uint64(0xFFFFFFF)) << np.uint64(4)).astype(np.uint32)


def pack_event(event: Event, arrived_ms: int, turn: int = 0) -> bytes:
    """Return the 24-byte record of `event`, stamped `arrived_ms`, as rings hold it.

    See `features.turns` for the turn.
    """
    item = 0 if event.item_id is None else stable_hash(event.item_id)
    value = 0 if event.value is None else round(event.value * VALUE_SCALE)
    tag = event_tag(event.event_id, event.type)
    return _PACKED.pack(arrived_ms | turn << TURN_AT, item, value, tag)


def type_codes(records: Records) -> npt.NDArray[np.uint32]:
    """Return the type code of each record."""
    return records["tag"] & np.uint32(CODE_MASK)
