"""Events sent as a storefront sends them."""

import asyncio
from collections.abc import Sequence

from features.errors import StoreError
from features.events import Event
from features.online.valkey_store import ValkeyStore


async def taken(store: ValkeyStore, batch: Sequence[Event]) -> None:
    """Send events, and again until they are taken: a busy store may answer too late."""
    while True:
        try:
            await store.append(batch)
        except StoreError:
            await asyncio.sleep(0.02)
        else:
            return
