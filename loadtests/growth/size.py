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
from loadtests.bench.measure import OTHERS_CORE, Figures, Load, confined, measure
from loadtests.bench.shop import fill, promote, shop_parts, write_bodies
from loadtests.growth.promotions import Often, Plan, Promoted, promoted
from models.bundle import write_bundle
from models.model import Model
from models.registry import Registry

SHOPPERS = 10_000
LOADS = 3


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
    promoted: Promoted


def measure_size(
    items: int, workers: tuple[int, ...], folder: Path, how: Load, often: Often
) -> Size:
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
    bodies = folder / "bodies.txt"
    write_bodies(bodies, 0, SHOPPERS)
    plan = Plan(often, how.rate, load_s, warm_s=how.seconds)
    with confined(OTHERS_CORE):  # what asks for promotions is no work of the service's core
        swapped = asyncio.run(promoted(home, bodies, (other, serving), plan))
    told = Size(
        items,
        "exact" if model.is_exact else "index",
        float(registry.manifest(serving).metrics["export"]["index"]["recall@100"]),
        sum(each.stat().st_size for each in (home / "models" / serving).iterdir()) / 1e6,
        load_s,
        by_workers,
        swapped,
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
