"""Who runs in the benchmark, on which work, and how each is started."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from features.online.embedded import EmbeddedValkey

SERVER_CORE = 0
SHOPPERS = 10_000
ALL = (0, SHOPPERS)
REGULARS = (SHOPPERS, SHOPPERS + 500)
"""Shoppers of their own for the cache, so that nobody else finds answers there."""

OWNERS = (0, 1_000)
BOUGHT = 5
"""Shoppers who own so many items, in a store of their own."""

MISSED_TTL_S = 0.05
"""How long a list is cached that nobody finds again: all other shoppers ask in between."""

ROOT = Path(__file__).parents[2]
PEERS_PYTHON = ROOT / ".venv-peers/bin/python"
"""Peers have an environment of their own: `make peers` makes it."""

CEILING = "aiohttp, constant answer"
OWNERS_LADDER = "cuvee, ladder, shoppers own items"
RANKED, LADDER = '"source":"model"', '"reason":"feature_error"'
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

    loses: EmbeddedValkey | None = None
    """The store that it has until every shopper was seen, and then no more."""


@dataclass(frozen=True, slots=True)
class Shop:
    """Where the benchmark's store is, and the homes with a bundle of each kind."""

    url: str
    owners: EmbeddedValkey
    towers: Path
    trees: Path


def contenders(shop: Shop) -> list[Contender]:
    """Return everybody, the ceiling first; peers where their environment is."""
    ceiling = (sys.executable, "-m", "loadtests.bench.servers.ceiling", "{port}")
    return [
        Contender(CEILING, ceiling),
        Contender("aiohttp and one redis-py GET", (*ceiling, shop.url)),
        cuvee("cuvee, cache hit", shop.towers, shop.url, '"source":"cache"', shoppers=REGULARS),
        cuvee("cuvee, ladder (no store)", shop.towers, NO_STORE, LADDER),
        replace(
            cuvee(
                OWNERS_LADDER,
                shop.towers,
                shop.owners.url,
                LADDER,
                cache_ttl_s=0,
                shoppers=OWNERS,
            ),
            loses=shop.owners,
        ),
        cuvee("cuvee, two towers", shop.towers, shop.url, RANKED, cache_ttl_s=0),
        cuvee(
            "cuvee, two towers, then cached",
            shop.towers,
            shop.url,
            RANKED,
            cache_ttl_s=MISSED_TTL_S,
        ),
        *(peers("two towers", shop.url, shop.towers) if PEERS_PYTHON.exists() else ()),
        cuvee("cuvee, boosted trees", shop.trees, shop.url, RANKED, cache_ttl_s=0),
        *(peers("boosted trees", shop.url, shop.trees) if PEERS_PYTHON.exists() else ()),
    ]


def peers(kind: str, url: str, home: Path) -> Iterator[Contender]:
    """Return the other servers, with the bundle of `home` and the store at `url`."""
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
    cache_ttl_s: float | None = None,
    shoppers: tuple[int, int] = ALL,
    cores: tuple[int, ...] = (SERVER_CORE,),
) -> Contender:
    """Return the service with the bundle of `home` and the store at `url`, a worker a core."""
    environment = {
        "CUVEE_HOME": str(home),
        "CUVEE_REDIS_URL": url,
        "CUVEE_WORKERS": str(len(cores)),
        "CUVEE_DRAIN_S": "0",
        **({} if cache_ttl_s is None else {"CUVEE_CACHE_TTL_S": str(cache_ttl_s)}),
    }
    command = (sys.executable, "-m", "server")
    return Contender(name, command, environment, expect, shoppers, cores=cores)
