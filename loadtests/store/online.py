"""Online: shoppers in a Valkey of ours and in one of Feast's, read by turns."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import redis

from features.online.embedded import EmbeddedValkey
from features.online.valkey_store import ValkeyStore
from loadtests.bench.contender import SERVER_CORE
from loadtests.bench.measure import OTHERS_CORE, confined, pinned
from loadtests.run import free_port
from loadtests.store.check import checked
from loadtests.store.figures import CUVEE, FEAST, Round
from loadtests.store.program import FEAST_PYTHON, feast, own
from loadtests.store.shoppers import PROFILE, histories, user_ids, values_of


@dataclass(frozen=True, slots=True)
class Online:
    """How much is asked: `calls` shoppers of each kind of call, `in_flight` of them at once."""

    shoppers: int
    calls: int
    in_flight: int


def measure_online(folder: Path, how: Online, repeat: int) -> list[Round]:
    """Return the figures of `repeat` rounds; the clients have a core, both Valkeys the other."""
    values = folder / "online.parquet"
    values_of(list(histories(how.shoppers))).write_parquet(values)
    with _valkey(folder / "own") as port, _valkey(folder / "feast") as feast_port:
        sizes = {CUVEE: _filled(port, how.shoppers)}
        if FEAST_PYTHON.exists():
            sizes[FEAST] = _filled_feast(folder, values, feast_port, how.shoppers)
        return [
            {
                name: sizes[name] | _read(name, folder, values, at, how)
                for name, at in ((CUVEE, port), (FEAST, feast_port))
                if name in sizes
            }
            for _ in range(repeat)
        ]


def _read(name: str, folder: Path, values: Path, port: int, how: Online) -> dict[str, float]:
    out, core = folder / "read.parquet", pinned(SERVER_CORE)
    asked = ("--calls", how.calls, "--in-flight", how.in_flight, "--out", out)
    if name == CUVEE:
        url = f"redis://127.0.0.1:{port}"
        figures = own("reading", "--url", url, "--shoppers", how.shoppers, *asked, prepare=core)
    else:
        where = ("--repository", folder, "--values", values, "--port", port)
        figures = feast("online", *where, *asked, prepare=core)
    return figures | checked(pl.read_parquet(out), pl.read_parquet(values), "user_id")


@contextmanager
def _valkey(home: Path) -> Iterator[int]:
    """Yield the port of a Valkey of its own."""
    port = free_port()
    with confined(OTHERS_CORE), EmbeddedValkey(home, {"port": str(port), "bind": "127.0.0.1"}):
        yield port


def _filled(port: int, shoppers: int) -> dict[str, float]:
    """Fill our store; return the bytes a shopper takes, over all keys and of the whole server."""
    before = _used(port)
    asyncio.run(_fill(f"redis://127.0.0.1:{port}", shoppers))
    return _sizes(port, before, shoppers)


def _filled_feast(folder: Path, values: Path, port: int, shoppers: int) -> dict[str, float]:
    before = _used(port)
    feast("declare", "--repository", folder, "--values", values, "--port", port)
    return _sizes(port, before, shoppers)


async def _fill(url: str, shoppers: int) -> None:
    store = ValkeyStore(url)
    try:
        await store.rings.apply(histories(shoppers))
        await store.put_profiles(dict.fromkeys(user_ids(shoppers), PROFILE))
    finally:
        await store.close()


def _sizes(port: int, before: int, shoppers: int) -> dict[str, float]:
    with redis.Redis(port=port) as client:
        pipeline = client.pipeline(transaction=False)
        for key in client.scan_iter(count=10_000):
            pipeline.memory_usage(key, samples=0)
        keys = sum(pipeline.execute())
    return {"key_bytes": keys / shoppers, "bytes": (_used(port) - before) / shoppers}


def _used(port: int) -> int:
    with redis.Redis(port=port) as client:
        used: int = client.info("memory")["used_memory"]
        return used
