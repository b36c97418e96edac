"""Events at the door: what is refused and why, and what their records hold."""

import contextlib
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import FieldError
from features.events import (
    LATEST_S,
    MAX_STARS,
    RECORD,
    TYPE_CODES,
    VALUE_SCALE,
    Event,
    EventType,
    event_tag,
    pack_event,
    parse_event,
    type_codes,
)
from features.ids import BLANKS, MAX_ID_LENGTH, stable_hash
from features.online.stream_entries import decode_entry, encode_event

LARGEST_VALUE = (2**31 - 1) / VALUE_SCALE

IDS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=MAX_ID_LENGTH
).filter(lambda told: told == told.strip(BLANKS))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)
EVENTS = st.builds(
    Event,
    event_id=IDS,
    type=st.sampled_from(EventType),
    user_id=IDS,
    timestamp=st.floats(0, LATEST_S),
    item_id=IDS,
    value=st.floats(0, LARGEST_VALUE),
    recommendation_id=st.none() | IDS,
    session_id=st.none() | IDS,
    context=st.none() | st.dictionaries(st.text(max_size=5), JSON, max_size=3),
).map(lambda told: replace(told, value=MAX_STARS) if told.type is EventType.RATING else told)


def raw(**changes: Any) -> dict[str, Any]:
    """Return a good event as JSON has it, with changes; `...` takes a field away."""
    good = {"event_id": "e", "type": "click", "user_id": "u", "item_id": "i", "timestamp": 1.5}
    return {name: told for name, told in (good | changes).items() if told is not ...}


def test_a_good_event_is_taken_as_it_is() -> None:
    """Every field arrives, whole seconds become floats, what is absent is None."""
    told = parse_event(
        raw(type="purchase", timestamp=7, value=3, context={"a": [1]}, session_id="s")
    )

    assert told == Event(
        "e", EventType.PURCHASE, "u", 7.0, "i", 3.0, session_id="s", context={"a": [1]}
    )
    assert type(told.timestamp) is type(told.value) is float


@pytest.mark.parametrize(
    ("changes", "field", "why"),
    [
        ({"colour": "red"}, "event.colour", "unknown field; there are event_id, type, user_id, "),
        ({"x" * 10**6: 1}, "event." + "x" * 128, "unknown field"),
        ({"event_id": ...}, "event.event_id", "required"),
        ({"event_id": None}, "event.event_id", "required"),
        ({"event_id": ""}, "event.event_id", "1 to 128"),
        ({"event_id": 7}, "event.event_id", "expected a string"),
        ({"user_id": ...}, "event.user_id", "required"),
        ({"user_id": "u" * 129}, "event.user_id", "got 129"),
        ({"user_id": "\ud800"}, "event.user_id", "lone surrogate"),
        ({"user_id": "a\0"}, "event.user_id", "control"),
        ({"user_id": "a\nb"}, "event.user_id", "control"),
        ({"user_id": "\x7f"}, "event.user_id", "control"),
        ({"user_id": "\x85"}, "event.user_id", "control"),
        ({"item_id": ...}, "event.item_id", "required for a click"),
        ({"item_id": ["i"]}, "event.item_id", "expected a string"),
        ({"session_id": ""}, "event.session_id", "1 to 128"),
        ({"recommendation_id": True}, "event.recommendation_id", "expected a string"),
        ({"type": ...}, "event.type", "expected one of impression, click"),
        ({"type": "CLICK"}, "event.type", "expected one of"),
        ({"type": 1}, "event.type", "expected one of"),
        ({"type": ["click"]}, "event.type", "expected one of"),
        ({"type": {}}, "event.type", "expected one of"),
        ({"timestamp": ...}, "event.timestamp", "seconds since 1970"),
        ({"timestamp": "2026-01-01"}, "event.timestamp", "seconds since 1970"),
        ({"timestamp": True}, "event.timestamp", "seconds since 1970"),
        ({"timestamp": math.nan}, "event.timestamp", "between 1970 and 2100"),
        ({"timestamp": math.inf}, "event.timestamp", "between 1970 and 2100"),
        ({"timestamp": -1}, "event.timestamp", "between 1970 and 2100"),
        ({"timestamp": 1_760_000_000_000}, "event.timestamp", r"0000 \(milliseconds\?\)$"),
        ({"timestamp": 10**400}, "event.timestamp", "between 1970 and 2100"),
        ({"type": "rating"}, "event.value", "required for a rating"),
        ({"type": "rating", "value": 50}, "event.value", "expected 0 to 5 stars, got 50"),
        ({"user_id": "  "}, "event.user_id", "1 to 128 characters, got 0"),
        ({"value": "3"}, "event.value", "expected a number"),
        ({"value": False}, "event.value", "expected a number"),
        ({"value": math.nan}, "event.value", "from 0 to"),
        ({"value": -math.inf}, "event.value", "from 0 to"),
        ({"value": -0.01}, "event.value", "from 0 to"),
        ({"value": 10**400}, "event.value", "from 0 to"),
        ({"value": LARGEST_VALUE + 0.01}, "event.value", "from 0 to 21,474,836.47"),
        ({"context": []}, "event.context", "expected an object"),
        ({"context": "x"}, "event.context", "expected an object"),
    ],
)
def test_what_is_refused_names_its_field(changes: dict[str, Any], field: str, why: str) -> None:
    """Each field that cannot be used is named with what was expected."""
    with pytest.raises(FieldError, match=why) as raised:
        parse_event(raw(**changes))

    assert raised.value.field == field


@pytest.mark.parametrize("blank", [" ", "  ", "\u00a0", "\u3000 "])
def test_blanks_at_the_ends_of_an_id_are_no_part_of_it(blank: str) -> None:
    """Wherever ids stand; blanks inside are, and the longest id may be padded."""
    longest = "u" * MAX_ID_LENGTH
    told = parse_event(raw(event_id=f"{blank}e", user_id=f"{longest}{blank}", item_id=f"i{blank}i"))

    assert (told.event_id, told.user_id, told.item_id) == ("e", longest, f"i{blank}i")


@pytest.mark.parametrize("what", [None, [], "x", 3, True])
def test_only_an_object_is_an_event(what: object) -> None:
    """Anything else is refused under the name it was given."""
    with pytest.raises(FieldError, match=r"events\[3\]: expected an object"):
        parse_event(what, field="events[3]")


def test_the_limits_themselves_are_allowed() -> None:
    """The longest id, both ends of time and the largest value are taken."""
    for timestamp in (0, LATEST_S):
        told = raw(user_id="ü" * MAX_ID_LENGTH, timestamp=timestamp, value=LARGEST_VALUE)
        assert parse_event(told).value == LARGEST_VALUE
    assert parse_event(raw(type="session", item_id=...)).item_id is None


@given(st.dictionaries(st.sampled_from([*raw(), "value", "context", "x"]), JSON | st.floats()))
def test_nothing_but_a_field_error_is_raised(changes: dict[str, Any]) -> None:
    """Whatever stands in a field, the answer is an event or the field's name."""
    with contextlib.suppress(FieldError):
        assert pack_event(parse_event(raw(**changes)), 1)


@given(EVENTS)
def test_an_event_survives_the_stream(event: Event) -> None:
    """What is written to the stream is read back as the same event."""
    entry = decode_entry(b"77-3", {b"event": encode_event(event)})

    assert entry.event == event
    assert (entry.arrived_ms, entry.user_id) == (77, event.user_id)


@given(EVENTS, st.integers(0, 2**62))
def test_a_record_says_what_the_event_did(event: Event, stamp: int) -> None:
    """The record holds stamp, item, value in hundredths, and type; 24 bytes, little-endian."""
    packed = pack_event(event, stamp)
    [record] = np.frombuffer(packed, RECORD)

    assert len(packed) == RECORD.itemsize == 24
    assert int.from_bytes(packed[:8], "little") == record["ts"] == stamp
    assert record["item"] == stable_hash(event.item_id or "")
    assert abs(record["value"] / VALUE_SCALE - (event.value or 0)) <= 0.005 + 1e-6
    assert record["tag"] == event_tag(event.event_id, event.type)
    assert type_codes(np.array([record]))[0] == TYPE_CODES[event.type]


def test_events_without_item_or_value_have_zeros() -> None:
    """No item is item 0, which no id hashes to; no value is 0."""
    [record] = np.frombuffer(pack_event(Event("e", EventType.SESSION, "u", 1.0), 5), RECORD)

    assert (record["item"], record["value"]) == (0, 0)


def test_type_codes_never_change() -> None:
    """Codes are part of what is stored: new types come last."""
    assert list(TYPE_CODES) == [
        "impression",
        "click",
        "add_to_cart",
        "remove_from_cart",
        "purchase",
        "rating",
        "not_interested",
        "session",
    ]
    assert list(TYPE_CODES.values()) == list(range(8))
