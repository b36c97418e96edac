"""How far the consumers of events are behind, asked of the store now and then."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from features.errors import StoreError
from features.online.valkey_client import Client
from features.stream import dead_letters
from features.stream.event_stream import behind
from monitoring.metrics import Metrics

LOOK_S = 5.0


@dataclass(frozen=True, slots=True)
class Backlog:
    """Events that each group has yet to finish, and those that nobody could use."""

    behind: Mapping[str, int]
    dead_letters: int


class EventLag:
    """What the store told last; `backlog` is None where it does not answer."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.backlog: Backlog | None = None

    async def watch(self, client: Client, metrics: Metrics) -> None:
        """Ask for ever; metrics keep what was told last."""
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    self.backlog = Backlog(await behind(client), await dead_letters.count(client))
                metrics.events_behind(self.backlog.behind)
                metrics.dead_letters(self.backlog.dead_letters)
            except (StoreError, TimeoutError):
                self.backlog = None
            await asyncio.sleep(LOOK_S)
