"""One size of catalogue: its bundles, what they cost to load, and what a promotion costs."""

import asyncio
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from threadpoolctl import threadpool_limits

from features.online.embedded import EmbeddedValkey
from loadtests.bench.contender import SERVER_CORE, Contender, cuvee
from loadtests.bench.generator import Answer
from loadtests.bench.measure import OTHERS_CORE, Figures, Load, confined, measure
from loadtests.bench.shop import fill, promote, shop_parts, write_bodies
from loadtests.faults.asker import Asker
from loadtests.faults.rig import NOTHING_KEPT, Rig
from loadtests.run import LoadTestError
from models.bundle import write_bundle
from models.model import Model
from models.registry import Registry

SHOPPERS = 10_000
LOADS = 3
PROMOTIONS = 3
PAUSE_S = 1.0
"""Between promotions."""

MOST_S = 12.0
"""For a promotion and the pause behind it; load goes on for no longer."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a catalogue of `items` costs; memory in MB, times as their names say."""

    items: int
    retrieval: str
    recall: float
    """Of the index, where there is one; 1 where it has none."""
    bundle_mb: float
    load_s: float
    """To verify, open and warm a bundle whose files are in the page cache."""

    by_workers: dict[int, Figures]
    promotion_s: float
    """To verify a bundle that is not loaded, load and warm it in the worker, and serve by it."""

    quiet_p99_ms: float
    promoting_p99_ms: float
    slowest_ms: float
    failed: int
    """Requests during promotions that got no list."""


def measure_size(items: int, workers: tuple[int, ...], folder: Path, how: Load) -> Size:
    """Return the figures for a catalogue of `items`, with each number of workers."""
    home = folder / f"home-{items}"
    promote(home, shop_parts(items))
    other = write_bundle(home / "models", shop_parts(items, seed=3))
    registry = Registry(home)
    serving = registry.production() or ""
    with confined(SERVER_CORE), threadpool_limits(1):  # as a worker has it
        model, load_s = _loaded(registry, serving)
    with confined(OTHERS_CORE), EmbeddedValkey(home) as store:
        asyncio.run(fill(store, items, SHOPPERS))
        by_workers = {
            each: measure(
                _contender(home, store.url, each),
                folder,
                replace(how, connections=how.connections * each),
            )
            for each in workers
        }
    versions = (other, serving)
    before, promoting, took_s = asyncio.run(_promotions(home, folder, versions, how.rate))
    told = Size(
        items,
        "exact" if model.is_exact else "index",
        float(registry.manifest(serving).metrics["export"]["index"]["recall@100"]),
        sum(each.stat().st_size for each in (home / "models" / serving).iterdir()) / 1e6,
        load_s,
        by_workers,
        took_s,
        _p99_ms(before),
        _p99_ms(promoting),
        1_000 * max(each.seconds for each in promoting),
        sum(not each.expected for each in (*before, *promoting)),
    )
    shutil.rmtree(home)
    return told


def _contender(home: Path, url: str, workers: int) -> Contender:
    cores = (SERVER_CORE, OTHERS_CORE)[:workers]
    return cuvee(home.name, home, url, '"source":"model"', cache_ttl_s=0, cores=cores)


def _loaded(registry: Registry, version: str) -> tuple[Model, float]:
    """Return the model, warm, and the median of the seconds that took."""
    took: list[float] = []
    models: list[Model] = []
    for _ in range(LOADS):
        started = time.perf_counter()
        models[:] = [registry.load(version)]
        models[0].warm()
        took.append(time.perf_counter() - started)
    return models[0], median(took)


async def _promotions(
    home: Path, folder: Path, versions: tuple[str, str], rate: float
) -> tuple[list[Answer], list[Answer], float]:
    """Promote one and the other under load, each time by loading it.

    Returns the answers before, those from then on, and the median seconds of a promotion.
    """
    rig = Rig(home, {"CUVEE_CACHE_TTL_S": "0", **NOTHING_KEPT})
    bodies = folder / "bodies.txt"
    write_bodies(bodies, 0, SHOPPERS)
    took: list[float] = []
    told: list[Answer] = []
    async with rig.running():
        quiet_s = PAUSE_S * PROMOTIONS
        asker = Asker(bodies, rate, 2 * quiet_s + PROMOTIONS * MOST_S, ends_with_it=True)
        async with asker.asking(rig.port, told):
            await asyncio.sleep(2 * quiet_s)
            began = time.time()
            for turn in range(PROMOTIONS):
                path = f"/v1/models/{versions[turn % 2]}/promote"
                started = time.perf_counter()
                if (status := await rig.admin(path)) != 200:
                    raise LoadTestError(f"promotion {turn} was answered with {status}")
                took.append(time.perf_counter() - started)
                await asyncio.sleep(PAUSE_S)
            ended = time.time()
    before = [each for each in told if began - quiet_s <= each.due_s < began]
    promoting = [each for each in told if began <= each.due_s < ended]
    return before, promoting, median(took)


def _p99_ms(answers: list[Answer]) -> float:
    ordered = sorted(each.seconds for each in answers)
    return 1_000 * ordered[int(0.99 * len(ordered))]
