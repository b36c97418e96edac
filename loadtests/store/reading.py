"""`python -m loadtests.store.reading`: shoppers' features, as the service computes them.

    one read of some shoppers ─ rings decoded ─ joined ─ every feature of every one of them

The service has one read under way and computes for those who shared it; so does this.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter

import click
import numpy as np
import polars as pl
import uvloop

from features.declared import FEATURE_NAMES
from features.history import merge_rings
from features.moments import Moments
from features.online import ShopperQuery
from features.slices import Slices
from features.valkey_store import ValkeyStore
from features.vector import FeatureVectors, feature_vectors
from loadtests.store.gauge import Gauge, peak_mb
from loadtests.store.shoppers import moment, user_ids

MANY = 100


async def features_of(store: ValkeyStore, users: Sequence[str]) -> FeatureVectors:
    """Return what is known of `users` now: one round trip, and one computation."""
    reads = await store.read([ShopperQuery(user, "benchmark") for user in users])
    records, by = merge_rings([(each.state.recent, each.state.history) for each in reads])
    sizes = np.bincount(by, minlength=len(reads))
    ends = np.cumsum(sizes)
    moments = Moments.of([moment(each.state.profile) for each in reads])
    return feature_vectors(records, Slices.whole(ends - sizes, ends), moments)


@click.command()
@click.option("--url", required=True)
@click.option("--shoppers", type=int, required=True)
@click.option("--calls", type=int, required=True, help="Of each kind.")
@click.option("--in-flight", type=int, required=True, help="Requests at once, each for a shopper.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="What was computed.")
def main(url: str, shoppers: int, calls: int, in_flight: int, out: Path) -> None:
    """Read the features of one shopper, of many in a call, and of many who share a read."""
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
        for name, each in (("one", 1), ("many", MANY), ("flight", in_flight)):
            figures |= await _asked(store, _groups(users, each), name, each, calls)
        figures["peak_mb"] = peak_mb()
        starts = range(0, len(users), MANY)
        told = [await features_of(store, users[at : at + MANY]) for at in starts]
        return figures, np.concatenate([each.values for each in told])
    finally:
        await store.close()


async def _asked(
    store: ValkeyStore, groups: Iterator[list[str]], name: str, each: int, calls: int
) -> dict[str, float]:
    await features_of(store, next(groups))
    gauge = Gauge()
    for _ in range(max(calls // each, 1)):
        group = next(groups)
        started = perf_counter()
        await features_of(store, group)
        gauge.note(perf_counter() - started)
    return gauge.told(name, each)


def _groups(users: list[str], size: int) -> Iterator[list[str]]:
    """Yield so many shoppers at a time, for ever."""
    endless = cycle(users)
    while True:
        yield list(islice(endless, size))


if __name__ == "__main__":
    main()
