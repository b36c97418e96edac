"""Exactly once: every event that was taken is in the tables and in the rings, and there once.

Sessions are merged into shoppers all the while.

Consumers of both groups, and the store itself, are killed hundreds of times while events come in.
"""

import asyncio
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
from redis import Redis

from features.errors import StoreError
from features.eventlog import rings
from features.events import Event, EventType
from features.offline.store import OfflineStore
from features.online import keys
from features.online.embedded import EmbeddedValkey
from features.online.store import ShopperQuery
from features.online.valkey_store import ValkeyStore
from features.stream.event_stream import Group
from tests.support.nursery import Nursery
from tests.support.sending import taken

KILLS = 200
STORE_KILLS = 8
SESSIONS = [f"session:{number}" for number in range(4)]
SHOPPERS = [f"u{number}" for number in range(7)]
NAMES = SESSIONS + SHOPPERS
KINDS = [kind for kind in EventType if kind is not EventType.IMPRESSION]


def events(random: random.Random, first: int) -> list[Event]:
    """Return some events that were not there before."""
    return [
        Event(
            f"e{number}",
            random.choice(KINDS),
            random.choice(NAMES),
            1.0,
            item_id=f"i{random.randrange(40)}",
            value=1.0,
        )
        for number in range(first, first + random.randrange(1, 40))
    ]


async def merged(store: ValkeyStore, source: str, into: str) -> None:
    """Merge as a storefront does: again, until it is done."""
    while True:
        try:
            await store.merge(source, into)
        except StoreError:
            await asyncio.sleep(0.02)
        else:
            return


async def keep_sending(store: ValkeyStore, stop: asyncio.Event) -> int:
    """Send until told to stop, and return how many were taken."""
    random_, count = random.Random(1), 0
    while not stop.is_set():
        batch = events(random_, count)
        await taken(store, batch)
        count += len(batch)
        if not random_.randrange(4):
            await merged(store, random_.choice(SESSIONS), random_.choice(SHOPPERS))
        await asyncio.sleep(0.01)
    return count


async def kill_again_and_again(server: EmbeddedValkey, nursery: Nursery) -> None:
    """Kill whoever, at any moment, and let another take their place."""
    random_ = random.Random(2)
    living = {group: nursery.start(group) for group in Group}
    store_dies = set(random_.sample(range(KILLS), STORE_KILLS))
    for number in range(KILLS):
        await asyncio.sleep(random_.random() * 0.12)
        if number in store_dies:
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            await asyncio.to_thread(server.start)
        group = random_.choice(list(Group))
        nursery.kill(living[group])
        living[group] = nursery.start(group)


async def known(store: ValkeyStore, user_id: str) -> bool:
    """Tell whether anything is known of a shopper online."""
    return (await store.read([ShopperQuery(user_id, "b")]))[0].state.known


async def drained(url: str) -> None:
    """Wait until both groups have finished all there is."""
    with Redis.from_url(url) as raw:
        while raw.exists(keys.STREAM) and raw.xlen(keys.STREAM):
            await asyncio.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_hundreds_of_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    """In the tables each id once; in the rings what the tables say the latest are."""
    with (
        EmbeddedValkey(tmp_path, {"appendfsync": "always"}) as server,
        Nursery(tmp_path) as nursery,
    ):
        store, stop = ValkeyStore(server.url), asyncio.Event()
        sending = asyncio.ensure_future(keep_sending(store, stop))
        await kill_again_and_again(server, nursery)
        stop.set()
        count = await sending
        for group in Group:
            nursery.start(group)
        await drained(server.url)

        offline = OfflineStore(tmp_path)
        ids = offline.scan("events").select("event_id").collect()["event_id"]
        assert len(ids) == ids.n_unique() == count > 2_000
        log = offline.event_log()
        sessions = {name for name in SESSIONS if (await known(store, name))}
        assert sessions == {*log.user_ids} & {*SESSIONS}
        for number, user_id in enumerate(log.user_ids):
            (read,) = await store.read([ShopperQuery(user_id, "b")])
            recent, history = rings(log.of(number))
            for told, expected in ((read.state.recent, recent), (read.state.history, history)):
                assert told.tolist() == expected.tolist()
                assert len(np.unique(told[["tag", "item"]])) == len(told)
        await store.close()
