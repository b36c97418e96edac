"""What group `online` does with the stream: enter events into the rings again.

Whoever appends an event enters it into the rings as well. Where that process died in between,
or a shopper was forgotten or merged only in the stream, this mends it; otherwise it changes
nothing. What was about to enter the rings of a shopper who was merged meanwhile is led on.
"""

import asyncio
from collections.abc import Iterable, Sequence

import numpy as np

from features.events import RECORD, pack_event
from features.identity.forgotten import ForgottenList
from features.online.carried import Carried
from features.online.stream_entries import Entry, forgotten_in
from features.online.valkey_store import ValkeyStore
from features.stream import dead_letters


class Repair:
    """Enters entries into the rings of `store`; raises `StoreError` where it does not answer."""

    def __init__(self, store: ValkeyStore, forgotten: ForgottenList) -> None:
        """Mend `store`, and the list of the `forgotten`."""
        self._store = store
        self._forgotten = forgotten

    async def take(self, entries: Sequence[Entry]) -> None:
        """Forget and merge whom to, enter the events into the rings: in any order the same."""
        if until := forgotten_in(entries):
            await asyncio.to_thread(self._forgotten.add, until)
        for user_id, stamp in until.items():
            await self._store.rings.forget_until(user_id, stamp)
        if until:
            await dead_letters.forget(self._store.client, until)
        for entry in entries:
            if entry.merge is not None:
                await self._store.rings.merge_until(entry.merge, entry.arrived_ms)
        await self._store.rings.carry(_by_shopper(entries))


def _by_shopper(entries: Sequence[Entry]) -> Iterable[Carried]:
    packed: dict[str, list[bytes]] = {}
    for entry in entries:
        if entry.event is not None:
            record = pack_event(entry.event, entry.arrived_ms, entry.turn)
            packed.setdefault(entry.event.user_id, []).append(record)
    for user_id, records in packed.items():
        yield Carried(user_id, np.frombuffer(b"".join(records), RECORD))
