"""What group `offline` does with the stream: keep events for ever, and forget shoppers.

    events     ─ not of a shopper forgotten since ─ new by event id ─ ONE commit a batch
    merges     ─ note who became whom ──────────────────────────────┤
    tombstones ─ delete what arrived before ────────────────────────┘

All of it may be done again: an event whose id is in the table is not added, and a tombstone
deletes only what arrived before it.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence

import orjson
import pyarrow as pa

from features.offline import OfflineStore
from features.quality.quarantine import Quarantine
from features.stream_entries import Entry
from features.tables import EVENTS
from features.valkey_store import ValkeyStore

log = logging.getLogger("cuvee.features.consumer")

TIDY_EVERY = 500
"""Commits after which small files are merged."""


class Archive:
    """Writes entries into the `offline` store; raises `StoreError` where it cannot."""

    def __init__(
        self, online: ValkeyStore, offline: OfflineStore, quarantine: Quarantine | None = None
    ) -> None:
        """Write to `offline`; `online` knows who was forgotten of late.

        Who is forgotten is forgotten in `quarantine` too.
        """
        self._online = online
        self._offline = offline
        self._quarantine = quarantine
        self._commits = 0

    async def take(self, entries: Sequence[Entry]) -> None:
        """Delete and add what the entries say, in at most one commit of events."""
        until = _forgotten_in(entries)
        whose = sorted({entry.user_id for entry in entries if entry.event is not None})
        for user_id, stamp in (await self._online.forgotten(whose)).items():
            until[user_id] = max(stamp, until.get(user_id, 0))
        kept = [
            entry
            for entry in entries
            if entry.event is not None and entry.arrived_ms > until.get(entry.user_id, -1)
        ]
        merged = await self._online.merged(whose)
        if merged:
            kept = [entry for entry in kept if not await self._is_gone(entry, merged)]
        merges = [
            (entry.merge.source, entry.merge.into, entry.arrived_ms)
            for entry in entries
            if entry.merge is not None
        ]
        forgotten = _forgotten_in(entries)
        # Whom somebody was merged into may have been forgotten before this noted the merge.
        into = sorted({into for _, into, _ in merges})
        for user_id, stamp in (await self._online.forgotten(into)).items():
            forgotten[user_id] = max(stamp, forgotten.get(user_id, 0))
        await asyncio.to_thread(self._write, merges, forgotten, kept)

    async def _is_gone(self, entry: Entry, merged: Mapping[str, list[tuple[int, str]]]) -> bool:
        """Tell whether it became somebody's who was forgotten after that."""
        user_id, since, hops = entry.user_id, entry.arrived_ms - 1, merged.get(entry.user_id, [])
        while hop := next((each for each in hops if each[0] > since), None):
            since, user_id = hop
            if (await self._online.forgotten([user_id])).get(user_id, -1) >= since:
                return True
            hops = (await self._online.merged([user_id])).get(user_id, [])
        return False

    def _write(
        self,
        merges: Sequence[tuple[str, str, int]],
        forgotten: dict[str, int],
        entries: Sequence[Entry],
    ) -> None:
        if merges:
            self._offline.merge(merges)
        for user_id, stamp in forgotten.items():
            if self._quarantine is not None:  # first: what is being released comes into the tables
                self._quarantine.forget(user_id)
            self._offline.forget(user_id, stamp)
        if not entries:
            return
        appended = self._offline.append_events(events_table(entries))
        log.debug("%d events written, %d were there", appended.accepted, appended.duplicates)
        self._commits += 1
        if self._commits % TIDY_EVERY == 0:
            self._offline.tidy()


def _forgotten_in(entries: Sequence[Entry]) -> dict[str, int]:
    """Return the latest tombstone's stamp of each shopper with one."""
    until: dict[str, int] = {}
    for entry in entries:
        if entry.forget is not None:
            until[entry.forget] = max(entry.arrived_ms, until.get(entry.forget, 0))
    return until


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
        "arrived_at": entry.arrived_ms * 1_000,
        "value": event.value,
        "recommendation_id": event.recommendation_id,
        "session_id": event.session_id,
        "context": None if event.context is None else orjson.dumps(event.context).decode(),
    }
