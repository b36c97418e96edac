"""Ingest: events posted to the service over HTTP, and how far its consumers lag then."""

import asyncio
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import orjson
import polars as pl
import uvloop

from features.offline.store import OfflineStore
from features.online.embedded import EmbeddedValkey
from features.online.valkey_store import ValkeyStore
from features.stream.event_stream import Group, behind
from loadtests.bench.contender import SERVER_CORE
from loadtests.bench.generator import connect, post
from loadtests.bench.measure import OTHERS_CORE, confined, pinned
from loadtests.bench.process_tree import processor_s, tree
from loadtests.bench.shop import item_ids, promote, shop_parts
from loadtests.run import LoadTestError, started
from loadtests.store.figures import CUVEE, Round
from loadtests.store.shoppers import user_ids

PATH = "/v1/events"
ITEMS, SHOPPERS = 1_000, 20_000
NOW_S = 1_793_000_000.0
KINDS = ("click", "click", "click", "add_to_cart", "purchase")
PAUSE_S = 0.5
"""After a refusal, before the same events are sent again."""

CATCH_UP_S = 600.0


@dataclass(frozen=True, slots=True)
class Ingest:
    """What is posted: `events` in posts of `batch`, over `connections` that are kept busy.

    The service has a core: alone, or together with its Valkey and the consumers of events.
    """

    events: int
    batch: int
    connections: int
    alone: bool


def measure_ingest(folder: Path, how: Ingest) -> Round:
    """Return the figures of one run.

    What does not share the service's core shares the other with whoever posts. One post goes
    ahead, so that all have started.
    """
    home = folder / "home"
    promote(home, shop_parts(ITEMS))
    warm_up, *posts = _posts(replace(how, events=how.events + how.batch))
    command = (sys.executable, "-m", "server")
    variables = {"CUVEE_HOME": str(home), "CUVEE_DRAIN_S": "0", "CUVEE_REDIS_URL": ""}
    log = folder / "ingest.log"
    with (
        confined(OTHERS_CORE),
        started(command, variables, log, pinned(SERVER_CORE)) as (port, process),
    ):
        uvloop.run(_sent(home, port, [warm_up], 1))
        if how.alone:
            _move_others(process.pid)
        before_s = processor_s(process.pid)
        told = uvloop.run(_sent(home, port, posts, how.connections))
        used_s = processor_s(process.pid) - before_s
    told |= {
        "rate": how.events / told["took_s"],
        "cpu_us": 1e6 * used_s / how.events,
        **counted(OfflineStore(home), how.events + how.batch),
    }
    return {CUVEE: told}


def counted(store: OfflineStore, posted: int) -> dict[str, float]:
    """Return how many events of `posted` are not in the tables, and how many are there again."""
    ids = store.scan("events").select(rows=pl.len(), different=pl.col("event_id").n_unique())
    ((rows, different),) = ids.collect().rows()
    return {"lost": posted - different, "doubled": rows - different}


def _move_others(pid: int) -> None:
    """Take all that `pid` started, but its workers, to the core of this process."""
    for each in tree(pid):
        proc = Path(f"/proc/{each}")
        if b"\0server\0" not in proc.joinpath("cmdline").read_bytes():
            for thread in proc.joinpath("task").iterdir():
                os.sched_setaffinity(int(thread.name), os.sched_getaffinity(0))


async def _sent(home: Path, port: int, posts: list[bytes], connections: int) -> dict[str, float]:
    """Send every post until it is taken; return how long that took, and how groups stand then."""
    waiting = iter(posts)
    store = ValkeyStore(EmbeddedValkey(home).url)
    try:
        await _consumed(store)
        started_s = perf_counter()
        refused = await asyncio.gather(*(_keep_busy(port, waiting) for _ in range(connections)))
        took_s = perf_counter() - started_s
        left = await behind(store.client)
        caught_up_s = await _caught_up(store)
    finally:
        await store.close()
    lags = {f"behind_{group}": float(count) for group, count in left.items()}
    return {"took_s": took_s, "refused": sum(refused), "caught_up_s": caught_up_s, **lags}


async def _keep_busy(port: int, posts: Iterator[bytes]) -> int:
    """Send one post after the other on one connection; return how often one was refused."""
    connection = await connect(port)
    refused = 0
    for each in posts:
        while not (await connection.ask(each)).startswith(b"HTTP/1.1 202"):
            refused += 1
            if not connection.lives:
                raise LoadTestError("the service hung up on who posted events")
            await asyncio.sleep(PAUSE_S)
    connection.close()
    return refused


async def _consumed(store: ValkeyStore) -> None:
    """Wait for the consumers: they start after the service is ready, and beside it."""
    async with asyncio.timeout(CATCH_UP_S):
        while len(await behind(store.client)) < len(Group):  # noqa: ASYNC110 (of processes)
            await asyncio.sleep(0.1)


async def _caught_up(store: ValkeyStore) -> float:
    """Return the seconds until no group is behind."""
    started_s = perf_counter()
    async with asyncio.timeout(CATCH_UP_S):
        while any((await behind(store.client)).values()):  # noqa: ASYNC110 (of processes)
            await asyncio.sleep(0.1)
    return perf_counter() - started_s


def _posts(how: Ingest, seed: int = 11) -> Iterator[bytes]:
    """Yield requests with events of shoppers at random; each id occurs once, all kinds are kept."""
    random = np.random.default_rng(seed)
    users, items = user_ids(SHOPPERS), item_ids(ITEMS)
    for first in range(0, how.events, how.batch):
        size = min(how.batch, how.events - first)
        drawn = zip(
            range(first, first + size),
            random.integers(0, SHOPPERS, size).tolist(),
            random.integers(0, ITEMS, size).tolist(),
            random.integers(0, len(KINDS), size).tolist(),
            strict=True,
        )
        events = [
            {
                "event_id": f"{how.batch:08x}{number:024x}",
                "type": KINDS[kind],
                "user_id": users[user],
                "item_id": items[item],
                "timestamp": NOW_S + number / 1_000,
                "value": 12.5 if KINDS[kind] == "purchase" else None,
                "session_id": f"session-{user:08d}",
            }
            for number, user, item, kind in drawn
        ]
        yield post(PATH, orjson.dumps({"events": events}).decode())
