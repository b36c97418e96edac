"""How far the consumers of events are behind, asked of the store now and then."""

import asyncio

from features.errors import StoreError
from features.online.valkey_client import Client
from features.stream import dead_letters
from features.stream.event_stream import behind
from monitoring.metrics import Metrics

LOOK_S = 5.0


async def watch_event_lag(client: Client, metrics: Metrics) -> None:
    """Show for ever what each group has yet to finish, and what no group could use."""
    while True:
        try:
            async with asyncio.timeout(LOOK_S):
                metrics.events_behind(await behind(client))
                metrics.dead_letters(await dead_letters.count(client))
        except (StoreError, TimeoutError):
            pass
        await asyncio.sleep(LOOK_S)
