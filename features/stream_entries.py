"""What stands in the stream: an event as JSON, or a tombstone for a shopper to forget."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

import orjson

from features.errors import FieldError
from features.events import Event, parse_event, parse_id

EVENT = b"event"
FORGET = b"forget"

_NAMES = tuple(each.name for each in fields(Event))


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: exactly one of `event` and `forget` (a user id), and the server's stamp."""

    entry_id: bytes
    arrived_ms: int
    event: Event | None = None
    forget: str | None = None

    @property
    def user_id(self) -> str:
        """Return whom it is about."""
        return self.event.user_id if self.event is not None else self.forget or ""


def encode_event(event: Event) -> bytes:
    """Return `event` as the JSON that `parse_event` reads; raise `FieldError` if there is none."""
    try:
        return orjson.dumps(
            {name: told for name in _NAMES if (told := getattr(event, name)) is not None}
        )
    except orjson.JSONEncodeError as error:
        raise FieldError("context", f"expected what JSON can say ({error})") from error


def stamp_of(entry_id: bytes | str) -> int:
    """Return the milliseconds in a stream id: when the server took the entry."""
    text = entry_id.decode() if isinstance(entry_id, bytes) else entry_id
    return int(text.partition("-")[0])


def forgotten_in(entries: Iterable[Entry]) -> dict[str, int]:
    """Return the latest tombstone's stamp of each shopper with one."""
    until: dict[str, int] = {}
    for entry in entries:
        if entry.forget is not None:
            until[entry.forget] = max(entry.arrived_ms, until.get(entry.forget, 0))
    return until


def decode_entry(entry_id: bytes, entry: Mapping[bytes, bytes]) -> Entry:
    """Return the entry, or raise `FieldError` telling why it can never be used."""
    try:
        if FORGET in entry:
            user_id = parse_id(entry[FORGET].decode(), "forget")
            return Entry(entry_id, stamp_of(entry_id), forget=user_id)
        if EVENT in entry:
            event = parse_event(orjson.loads(entry[EVENT]))
            return Entry(entry_id, stamp_of(entry_id), event=event)
    except (UnicodeDecodeError, orjson.JSONDecodeError) as error:
        raise FieldError("entry", f"unreadable ({error})") from error
    raise FieldError("entry", "neither an event nor a tombstone")
