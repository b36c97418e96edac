"""A post of events: all of them valid, or refused with every mistake named."""

from features.errors import FieldError
from features.events import Event, parse_event
from server.errors import InvalidError
from server.query import parse_json

MAX_EVENTS = 1_000
_MAX_ERRORS = 20


def parse_events(body: bytes) -> list[Event]:
    """Return the events in `body`, `{"events": [event, ...]}` with 1 to 1,000 of them.

    An event may be repeated, but all of one id say the same.
    Raises `MalformedError`, or `InvalidError` naming index and field of up to 20 mistakes.
    """
    raw = _list(parse_json(body))
    events, mistakes = [], []
    for index, each in enumerate(raw):
        try:
            events.append(parse_event(each, field=f"events[{index}]"))
        except FieldError as error:
            mistakes.append((error.field, error.message))
    mistakes = mistakes or _contradictions(events)
    if mistakes:
        raise InvalidError(f"{len(mistakes)} of {len(raw)} events refused", mistakes[:_MAX_ERRORS])
    return events


def _contradictions(events: list[Event]) -> list[tuple[str, str]]:
    """Return the events that say something else than an earlier one of the same id."""
    first: dict[str, int] = {}
    mistakes = []
    for index, event in enumerate(events):
        earlier = first.setdefault(event.event_id, index)
        if earlier != index and events[earlier] != event:
            why = f"events[{earlier}] has this id too, and says something else"
            mistakes.append((f"events[{index}].event_id", why))
    return mistakes


def _list(raw: object) -> list[object]:
    if not isinstance(raw, dict) or set(raw) != {"events"}:
        raise _invalid("body", 'expected {"events": [event, ...]} and nothing else')
    events = raw["events"]
    if not isinstance(events, list) or not 0 < len(events) <= MAX_EVENTS:
        told = len(events) if isinstance(events, list) else type(events).__name__
        raise _invalid("events", f"expected a list of 1 to {MAX_EVENTS} events, got {told}")
    return events


def _invalid(field: str, message: str) -> InvalidError:
    return InvalidError(f"{field}: {message}", [(field, message)])
