"""Lists that were served, as a service writes them, and what shoppers did with them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest

from features.events import Event, EventType
from features.lists import line
from features.lists.carrier import Carrier
from features.lists.line import Noted
from features.lists.spool import SegmentWriter
from features.offline.store import OfflineStore
from features.offline.tables import SERVED, SERVED_LISTS, STORED
from features.online.stream_entries import Entry
from features.stream.archive import events_table

MOST_BYTES = 2**30
USED_COLUMNS = ("features", "features_schema", "as_of")


def list_line(
    list_id: str,
    user_id: str,
    at_ms: int,
    items: Sequence[str] = ("i1", "i2", "i3"),
    after: int = 0,
    **fields: Any,
) -> bytes:
    """Return the line of a list by model v1, or of what `fields` tell otherwise."""
    plain: dict[str, Any] = {
        "source": "model",
        "degraded": False,
        "reason": None,
        "model_version": "v1",
        "segment": "type=Red",
        "experiment": None,
        "latency_ms": 1.5,
    }
    noted: dict[str, Any] = {"page": "home", "variant": None, "propensities": (), "used": None}
    noted |= {name: fields.pop(name) for name in noted.keys() & fields.keys()}
    scores = fields.pop("scores", [1.0 / (place + 1) for place in range(len(items))])
    listed = [
        {"item_id": item, "score": score, "reason": "popular", "reason_text": "Popular now"}
        for item, score in zip(items, scores, strict=True)
    ]
    body = {"recommendation_id": list_id, "user_id": user_id, "items": listed, "next_cursor": None}
    return line.encode(
        orjson.dumps({**body, **plain, **fields}), Noted(at_ms, after=after, **noted)
    )


def line_of_before(*words: Any, **fields: Any) -> bytes:
    """Return the line of a list as it was before features were kept with it."""
    told = list_line(*words, **fields)
    head, found, end = told.partition(b',"features":null,"features_schema":null,"as_of_ms":null')
    assert found
    return head + end


def serve_before(store: OfflineStore, *lines: bytes) -> None:
    """Bring lists into their table as it was before features were kept with them."""
    columns = [each for each in SERVED_LISTS if each.name not in USED_COLUMNS]
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(STORED, SERVED, pa.schema(columns))
        serve(store, *lines)


def write_segment(home: Path, lines: Sequence[bytes]) -> None:
    """Write a whole segment."""
    writer = SegmentWriter(home, MOST_BYTES)
    writer.write(lines)
    writer.close()


def serve(store: OfflineStore, *lines: bytes) -> None:
    """Bring lists into their table."""
    write_segment(store.home, lines)
    Carrier(store).carry()


def done(
    event_id: str,
    user_id: str,
    item_id: str,
    at_ms: int,
    kind: EventType = EventType.CLICK,
    list_id: str | None = None,
    value: float | None = None,
) -> Entry:
    """Return an event that arrived at a moment."""
    event = Event(event_id, kind, user_id, at_ms / 1_000, item_id, value, list_id)
    return Entry(b"1-1", at_ms, event)


def happen(store: OfflineStore, *entries: Entry) -> None:
    """Bring events into their table."""
    store.append_events(events_table(entries))
