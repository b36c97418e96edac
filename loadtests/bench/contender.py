"""Who runs in the benchmark, on which work, and how each is started."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SERVER_CORE = 0
SHOPPERS = 10_000
ALL = (0, SHOPPERS)
REGULARS = (SHOPPERS, SHOPPERS + 500)
"""Shoppers of their own for the cache, so that nobody else finds answers there."""

ROOT = Path(__file__).parents[2]
PEERS_PYTHON = ROOT / ".venv-peers/bin/python"
"""Peers have an environment of their own: `make peers` makes it."""

CEILING = "aiohttp, constant answer"
MOSEC_OPTIONS = ("--address", "127.0.0.1", "--log-level", "error")
NO_STORE = "redis://127.0.0.1:1"
"""Nobody listens there: connections are refused at once."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A server of the benchmark: `command` gets the port as `{port}`, in its environment too."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    expect: str = '"items":['
    """What every answer holds, so that what is measured is what is named."""

    shoppers: tuple[int, int] = ALL
    """The first who asks, and the one who does no more."""

    ready: str = "/readyz"
    """What answers 200 once it is up."""

    cores: tuple[int, ...] = (SERVER_CORE,)
    """Where it runs, with all its processes."""


@dataclass(frozen=True, slots=True)
class Shop:
    """Where the benchmark's store is, and the homes with a bundle of each kind."""

    url: str
    towers: Path
    trees: Path


def contenders(shop: Shop) -> list[Contender]:
    """Return everybody, the ceiling first; peers where their environment is."""
    ceiling = (sys.executable, "-m", "loadtests.bench.servers.ceiling", "{port}")
    return [
        Contender(CEILING, ceiling),
        Contender("aiohttp and one redis-py GET", (*ceiling, shop.url)),
        cuvee("cuvee, cache hit", shop.towers, shop.url, '"source":"cache"', shoppers=REGULARS),
        cuvee("cuvee, ladder (no store)", shop.towers, NO_STORE, '"reason":"feature_error"'),
        cuvee("cuvee, two towers", shop.towers, shop.url, '"source":"model"', cache=False),
        *(_peers("two towers", shop.url, shop.towers) if PEERS_PYTHON.exists() else ()),
        cuvee("cuvee, boosted trees", shop.trees, shop.url, '"source":"model"', cache=False),
        *(_peers("boosted trees", shop.url, shop.trees) if PEERS_PYTHON.exists() else ()),
    ]


def _peers(kind: str, url: str, home: Path) -> Iterator[Contender]:
    where = {"BENCH_URL": url, "BENCH_HOME": str(home)}
    run = (str(PEERS_PYTHON), "-m")
    yield Contender(
        f"FastAPI and uvicorn, {kind}",
        (*run, "loadtests.bench.servers.fastapi_peer", "{port}"),
        where,
    )
    yield Contender(
        f"mosec, batched, {kind}",
        (*run, "loadtests.bench.servers.mosec_peer", "--port", "{port}", *MOSEC_OPTIONS),
        where,
        ready="/",
    )


def cuvee(
    name: str,
    home: Path,
    url: str,
    expect: str,
    *,
    cache: bool = True,
    shoppers: tuple[int, int] = ALL,
    cores: tuple[int, ...] = (SERVER_CORE,),
) -> Contender:
    """Return the service with the bundle of `home` and the store at `url`, a worker a core."""
    environment = {
        "CUVEE_HOME": str(home),
        "CUVEE_REDIS_URL": url,
        "CUVEE_WORKERS": str(len(cores)),
        "CUVEE_DRAIN_S": "0",
        **({} if cache else {"CUVEE_CACHE_TTL_S": "0"}),
    }
    command = (sys.executable, "-m", "server")
    return Contender(name, command, environment, expect, shoppers, cores=cores)
