"""What stands in the stream: an event, a shopper to forget, or one to merge into another."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

import orjson

from features.errors import FieldError
from features.events import Event, parse_event, parse_id
from features.turns import TURNS

EVENT = b"event"
FORGET = b"forget"
MERGE = b"merge"

_NAMES = tuple(each.name for each in fields(Event))


@dataclass(frozen=True, slots=True)
class Merge:
    """All that arrived of shopper `source` is shopper `into`'s from now on."""

    source: str
    into: str

    def encode(self) -> bytes:
        """Return it as it stands in the stream."""
        return orjson.dumps((self.source, self.into))


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: one of `event`, `forget` (a user id) and `merge`, and the server's stamp."""

    entry_id: bytes
    arrived_ms: int
    event: Event | None = None
    forget: str | None = None
    merge: Merge | None = None

    @property
    def user_id(self) -> str:
        """Return whom it is about."""
        if self.event is not None:
            return self.event.user_id
        return self.forget or (self.merge.source if self.merge else "")

    @property
    def turn(self) -> int:
        """Return its turn among those of its millisecond."""
        _, _, number = self.entry_id.partition(b"-")
        return min(int(number), TURNS - 1)


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


def tombstones_in(entries: Iterable[Entry]) -> list[dict[str, int]]:
    """Return all tombstones' stamps, in rounds in which each shopper has one, earliest first.

    Who was merged between two of them was forgotten by the first of what went with that.
    """
    stamps: dict[str, set[int]] = {}
    for entry in entries:
        if entry.forget is not None:
            stamps.setdefault(entry.forget, set()).add(entry.arrived_ms)
    told = {user_id: sorted(some) for user_id, some in stamps.items()}
    rounds = range(max(map(len, told.values()), default=0))
    return [{each: some[rank] for each, some in told.items() if some[rank:]} for rank in rounds]


def decode_entry(entry_id: bytes, entry: Mapping[bytes, bytes]) -> Entry:
    """Return the entry, or raise `FieldError` telling why it can never be used."""
    try:
        if FORGET in entry:
            user_id = parse_id(entry[FORGET].decode(), "forget")
            return Entry(entry_id, stamp_of(entry_id), forget=user_id)
        if MERGE in entry:
            merge = _merge(orjson.loads(entry[MERGE]))
            return Entry(entry_id, stamp_of(entry_id), merge=merge)
        if EVENT in entry:
            event = parse_event(orjson.loads(entry[EVENT]))
            return Entry(entry_id, stamp_of(entry_id), event=event)
    except (UnicodeDecodeError, orjson.JSONDecodeError) as error:
        raise FieldError("entry", f"unreadable ({error})") from error
    raise FieldError("entry", "neither an event nor a tombstone, nor a merge")


def _merge(raw: object) -> Merge:
    if not isinstance(raw, list) or len(raw) != 2:
        raise FieldError("merge", f"expected two user ids, got {raw!r:.80}")
    return Merge(*(parse_id(each, "merge") for each in raw))
