"""A post of events is taken as a whole or refused with every mistake named."""

from typing import Any

import orjson
import pytest

from server.errors import InvalidError, MalformedError
from server.event_batch import MAX_EVENTS, parse_events


def event(number: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a valid event, with `changes`."""
    plain = {
        "event_id": f"e{number}",
        "type": "click",
        "user_id": "u1",
        "item_id": "i1",
        "timestamp": 1_760_000_000,
    }
    return {**plain, **changes}


def body(*events: object) -> bytes:
    """Return a post of `events`."""
    return orjson.dumps({"events": events})


def test_valid_events_come_in_order() -> None:
    """Events are parsed in the order of the post."""
    parsed = parse_events(body(event(1), event(2)))
    assert [each.event_id for each in parsed] == ["e1", "e2"]


def test_every_mistake_names_index_and_field() -> None:
    """Two bad events of three are both named."""
    with pytest.raises(InvalidError) as refused:
        parse_events(body(event(type="buy"), event(), event(user_id="")))
    assert [field for field, _ in refused.value.errors] == ["events[0].type", "events[2].user_id"]


def test_one_id_says_one_thing() -> None:
    """A repetition is taken; the same id with other content is refused, and both are named."""
    assert len(parse_events(body(event(1), event(2), event(1)))) == 3
    with pytest.raises(InvalidError, match="1 of 3 events refused") as refused:
        parse_events(body(event(2), event(1), event(1, user_id="u2")))
    why = "events[1] has this id too, and says something else"
    assert refused.value.errors == (("events[2].event_id", why),)


def test_no_more_than_twenty_mistakes_are_told() -> None:
    """A thousand bad events make a short answer that still tells how many they were."""
    with pytest.raises(InvalidError, match="1000 of 1000") as refused:
        parse_events(body(*[{}] * MAX_EVENTS))
    assert len(refused.value.errors) == 20


@pytest.mark.parametrize(
    "raw",
    [b"[]", b"null", b'{"events": {}}', b'{"events": []}', b'{"events": [], "more": 1}', b'"x"'],
)
def test_another_shape_is_refused(raw: bytes) -> None:
    """Only an object with a list of events is a post."""
    with pytest.raises(InvalidError):
        parse_events(raw)


def test_too_many_events_are_refused() -> None:
    """One more than a thousand is too many."""
    with pytest.raises(InvalidError, match="1 to 1000"):
        parse_events(body(*[event()] * (MAX_EVENTS + 1)))


@pytest.mark.parametrize("raw", [b"", b"{", b'{"events": [NaN]}', b"\xff"])
def test_what_is_no_json_is_malformed(raw: bytes) -> None:
    """Malformed JSON is told apart from invalid fields."""
    with pytest.raises(MalformedError):
        parse_events(raw)
