"""`python -m loadtests.store.reading`: shoppers' features, as the service computes them.

    one read of some shoppers ─ rings decoded ─ joined ─ every feature of every one of them

Who asks for a shopper in the same turn of the event loop shares a read and a computation, as in the
service.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import TypeAlias

import click
import numpy as np
import polars as pl
import uvloop

from features.computation.slices import Slices
from features.computation.vector import FeatureVectors, feature_vectors
from features.declared import FEATURE_NAMES
from features.history import merge_rings
from features.moments import Moments
from features.online.store import ShopperQuery
from features.online.valkey_store import ValkeyStore
from loadtests.store.gauge import Gauge, peak_mb
from loadtests.store.groups import groups_of
from loadtests.store.shoppers import moment, user_ids

MANY = 100
Row: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.float32]]"


async def features_of(store: ValkeyStore, users: Sequence[str]) -> FeatureVectors:
    """Return what is known of `users` now: one round trip, and one computation."""
    reads = await store.read([ShopperQuery(user, "benchmark") for user in users])
    records, by = merge_rings([(each.state.recent, each.state.history) for each in reads])
    sizes = np.bincount(by, minlength=len(reads))
    ends = np.cumsum(sizes)
    moments = Moments.of([moment(each.state.profile) for each in reads])
    return feature_vectors(records, Slices.whole(ends - sizes, ends), moments)


class SharedReads:
    """Requests, each for one shopper; those of one turn of the event loop are one read."""

    def __init__(self, store: ValkeyStore) -> None:
        """Read from `store`."""
        self._store = store
        self._waiting: list[tuple[str, asyncio.Future[Row]]] = []
        self._reads: set[asyncio.Task[None]] = set()

    async def features_of(self, user: str) -> Row:
        """Return what is known of `user` now."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._begin)
        told: asyncio.Future[Row] = loop.create_future()
        self._waiting.append((user, told))
        return await told

    def _begin(self) -> None:
        asked, self._waiting = self._waiting, []
        read = asyncio.create_task(self._read(asked))
        self._reads.add(read)
        read.add_done_callback(self._reads.discard)

    async def _read(self, asked: "list[tuple[str, asyncio.Future[Row]]]") -> None:
        vectors = await features_of(self._store, [user for user, _ in asked])
        for (_, told), values in zip(asked, vectors.values, strict=True):
            told.set_result(values)


@click.command()
@click.option("--url", required=True)
@click.option("--shoppers", type=int, required=True)
@click.option("--calls", type=int, required=True, help="Of each kind.")
@click.option("--in-flight", type=int, required=True, help="Requests at once, each for a shopper.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="What was computed.")
def main(url: str, shoppers: int, calls: int, in_flight: int, out: Path) -> None:
    """Read the features of one shopper, of many in a call, and of many in calls at once."""
    users = user_ids(shoppers)
    figures, told = uvloop.run(_measured(url, users, calls, in_flight))
    frame = pl.DataFrame({"user_id": users}).hstack(pl.DataFrame(told, FEATURE_NAMES))
    frame.write_parquet(out)
    click.echo(json.dumps(figures))


async def _measured(
    url: str, users: list[str], calls: int, in_flight: int
) -> tuple[dict[str, float], "np.ndarray[tuple[int, int], np.dtype[np.float32]]"]:
    store = ValkeyStore(url)
    try:
        figures: dict[str, float] = {}
        shared = SharedReads(store)

        async def in_one_call(group: list[str]) -> None:
            await features_of(store, group)

        async def at_once(group: list[str]) -> None:
            await asyncio.gather(*map(shared.features_of, group))

        for name, each, ask in (
            ("one", 1, in_one_call),
            ("many", MANY, in_one_call),
            ("flight", in_flight, at_once),
        ):
            figures |= await _asked(ask, groups_of(users, each), name, each, calls)
        figures["peak_mb"] = peak_mb()
        starts = range(0, len(users), MANY)
        told = [await features_of(store, users[at : at + MANY]) for at in starts]
        return figures, np.concatenate([each.values for each in told])
    finally:
        await store.close()


async def _asked(
    ask: Callable[[list[str]], Awaitable[None]],
    groups: Iterator[list[str]],
    name: str,
    each: int,
    calls: int,
) -> dict[str, float]:
    await ask(next(groups))
    gauge = Gauge()
    for _ in range(max(calls // each, 1)):
        group = next(groups)
        started = perf_counter()
        await ask(group)
        gauge.note(perf_counter() - started)
    return gauge.told(name, each)


if __name__ == "__main__":
    main()
