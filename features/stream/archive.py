"""What group `offline` does with the stream: keep events for ever, and forget shoppers.

    events     ─ not of a shopper forgotten since ─ new by event id ─ ONE commit a batch
    merges     ─ note who became whom ──────────────────────────────┤
    tombstones ─ delete what arrived before, in every place ────────┘

All of it may be done again: an event whose id is in the table is not added, and a tombstone
deletes only what arrived before it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

import orjson
import pyarrow as pa

from features.erasure import Erasure
from features.offline.store import OfflineStore
from features.offline.tables import EVENTS
from features.offline.tidying import Tidying
from features.online.stream_entries import Entry, tombstones_in
from features.online.valkey_store import ValkeyStore
from features.stream import dead_letters
from features.turns import TURNS

log = logging.getLogger("cuvee.features.consumer")


class Archive:
    """Writes entries into the `offline` store; raises `StoreError` where it cannot."""

    def __init__(
        self,
        online: ValkeyStore,
        offline: OfflineStore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Write to `offline`; `online` knows who was forgotten of late."""
        self._online = online
        self._offline = offline
        self._erasure = Erasure(offline)
        self._tidying = Tidying(offline, clock)

    async def take(self, entries: Sequence[Entry]) -> None:
        """Note, delete and add what the entries say, in at most one commit of events."""
        merges = [
            (entry.merge.source, entry.merge.into, entry.arrived_ms)
            for entry in entries
            if entry.merge is not None
        ]
        events = [entry for entry in entries if entry.event is not None]
        gone = await asyncio.to_thread(self._write, merges, tombstones_in(entries), events)
        if gone:
            await dead_letters.forget(self._online.client, gone)

    def _write(
        self,
        merges: Sequence[tuple[str, str, int]],
        tombstones: Sequence[dict[str, int]],
        events: Sequence[Entry],
    ) -> set[str]:
        """Return whom this forgot."""
        gone = set[str]()
        if merges:
            self._offline.merge(merges)
            for user_id, stamp in self._forgotten_before(merges):
                gone |= self._erasure.forget({user_id: stamp})
        for forgotten in tombstones:
            gone |= self._erasure.forget(forgotten)
        if events:
            self._append(events)
        self._tidying.tidy_if_due()
        return gone

    def _forgotten_before(self, merges: Sequence[tuple[str, str, int]]) -> set[tuple[str, int]]:
        """Return who was forgotten after merges into them that are noted only now, and when."""
        stamps = self._offline.forgotten().stamps([into for _, into, _ in merges])
        later = (
            (into, min((stamp for stamp in stamps.get(into, ()) if stamp >= at_ms), default=None))
            for _, into, at_ms in merges
        )
        return {(into, stamp) for into, stamp in later if stamp is not None}

    def _append(self, events: Sequence[Entry]) -> None:
        """Add events, but those of shoppers who were forgotten since."""
        appended = self._offline.append_events(events_table(events))
        log.debug("%d events written, %d were there", appended.accepted, appended.duplicates)
        self._tidying.committed()


def events_table(entries: Sequence[Entry]) -> pa.Table:
    """Return the entries' events as rows of the events table."""
    rows = [_row(entry) for entry in entries if entry.event is not None]
    return pa.Table.from_pylist(rows, schema=EVENTS)


def _row(entry: Entry) -> dict[str, object]:
    event = entry.event
    assert event is not None  # noqa: S101 (the caller looked)
    return {
        "event_id": event.event_id,
        "type": str(event.type),
        "user_id": event.user_id,
        "item_id": event.item_id,
        "timestamp": round(event.timestamp * 1_000_000),
        "arrived_at": entry.arrived_ms * TURNS + entry.turn,
        "value": event.value,
        "recommendation_id": event.recommendation_id,
        "session_id": event.session_id,
        "context": None if event.context is None else orjson.dumps(event.context).decode(),
    }
