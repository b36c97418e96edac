"""Entries of the stream: events, tombstones, and what is neither."""

from datetime import UTC, datetime

import orjson
import pytest

from features.errors import FieldError
from features.events import Event, EventType
from features.online.stream_entries import decode_entry, encode_event, stamp_of

CLICK = Event("e", EventType.CLICK, "u", 1.5, item_id="i")


def test_an_event_is_written_without_what_it_lacks() -> None:
    """Only fields with a value stand in the stream, by the names the API has."""
    assert orjson.loads(encode_event(CLICK)) == {
        "event_id": "e",
        "type": "click",
        "user_id": "u",
        "timestamp": 1.5,
        "item_id": "i",
    }


@pytest.mark.parametrize("context", [{"a": object()}, {"a": 2**70}, {"a": "\ud800"}, {1: 2}])
def test_what_json_cannot_say_is_refused(context: dict[object, object]) -> None:
    """The caller hears of it, before anything is stored."""
    with pytest.raises(FieldError) as raised:
        encode_event(Event("e", EventType.SESSION, "u", 1.0, context=context))  # type: ignore[arg-type]

    assert raised.value.field == "context"


def test_a_tombstone_names_a_shopper() -> None:
    """It has the stamp up to which the shopper is forgotten."""
    entry = decode_entry(b"123-4", {b"forget": "é".encode()})

    assert (entry.forget, entry.user_id, entry.arrived_ms, entry.event) == ("é", "é", 123, None)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {b"other": b"x"},
        {b"event": b""},
        {b"event": b"nonsense"},
        {b"event": b"null"},
        {b"event": b'{"event_id": "e"}'},
        {b"event": b"\xff"},
        {b"forget": b""},
        {b"forget": b"\xff"},
        {b"forget": b"u" * 129},
    ],
)
def test_what_can_never_be_used_is_told(fields: dict[bytes, bytes]) -> None:
    """Each unusable entry is a `FieldError`, the consumers' sign to put it aside."""
    with pytest.raises(FieldError):
        decode_entry(b"1-0", fields)


@pytest.mark.parametrize("entry_id", [b"1760000000000-7", "1760000000000-7"])
def test_the_stamp_is_the_time_of_the_entry(entry_id: bytes | str) -> None:
    """Milliseconds since 1970, as the server saw it."""
    stamp = stamp_of(entry_id)

    assert datetime.fromtimestamp(stamp / 1000, UTC).year == 2025
