"""Events sent while something is broken, and what became of each that was taken."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import aiohttp
import polars as pl

from features.offline.store import OfflineStore
from loadtests.faults.rig import Rig

PAUSE_S = 0.2
RETRY_S = 0.3
PATIENCE_S = 90.0
"""Longer than the longest pause before a consumer that ended is started again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many events the service said it took, and what the offline store has of them."""

    taken: int
    lost: int
    doubled: int


class Events:
    """Sends clicks, each until it is taken, as a storefront with a queue does."""

    def __init__(self, rig: Rig, items: list[str]) -> None:
        """Send events on `items`."""
        self._rig = rig
        self._items = items
        self._taken: set[str] = set()
        self._sending: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def sent(self) -> AsyncIterator[None]:
        """Send until left; then wait until all that was taken is in the offline store."""
        async with aiohttp.ClientSession() as session:
            sending = asyncio.create_task(self._send_on(session))
            try:
                yield
            finally:
                sending.cancel()
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    await asyncio.gather(*self._sending)
                    while await asyncio.to_thread(self._lost):  # noqa: ASYNC110 (of a process)
                        await asyncio.sleep(0.5)

    async def _send_on(self, session: aiohttp.ClientSession) -> None:
        while True:
            task = asyncio.create_task(self._send(session))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
            await asyncio.sleep(PAUSE_S)

    async def _send(self, session: aiohttp.ClientSession) -> None:
        event_id = uuid4().hex
        event = {
            "event_id": event_id,
            "type": "click",
            "user_id": f"visitor-{event_id[:2]}",
            "item_id": self._items[int(event_id[:6], 16) % len(self._items)],
            "timestamp": time.time(),
        }
        url, body = f"{self._rig.url}/v1/events", {"events": [event]}
        while True:
            try:
                async with session.post(url, json=body) as told:
                    if told.status == 202:
                        self._taken.add(event_id)
                        return
            except (OSError, aiohttp.ClientError):
                pass
            await asyncio.sleep(RETRY_S)

    def outcome(self) -> Outcome:
        """Return what became of what was sent."""
        stored = self._stored()
        return Outcome(len(self._taken), self._lost(), len(stored) - len(set(stored)))

    def _lost(self) -> int:
        return len(self._taken - set(self._stored()))

    def _stored(self) -> list[str]:
        events = OfflineStore(Path(self._rig.home)).scan("events")
        found = events.filter(pl.col("user_id").str.starts_with("visitor-"))
        return found.select("event_id").collect()["event_id"].to_list()
