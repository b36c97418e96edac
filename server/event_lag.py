"""How far the consumers of events are behind, asked of the store now and then."""

import asyncio

from features.errors import StoreError
from features.valkey_store import ValkeyStore
from monitoring.metrics import Metrics

LOOK_S = 5.0


async def watch_event_lag(store: ValkeyStore, metrics: Metrics) -> None:
    """Show for ever how many events each group has yet to finish, as far as the store tells."""
    while True:
        try:
            async with asyncio.timeout(LOOK_S):
                metrics.events_behind(await store.behind())
        except (StoreError, TimeoutError):
            pass
        await asyncio.sleep(LOOK_S)
