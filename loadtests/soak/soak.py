"""The soak: a service under load, its models promoted and rolled back, step after step.

steps in the journal ─ a new service ─ step: ask, promote, look at memory ─ a line ─ next step
"""

import asyncio
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from time import monotonic

import aiohttp

from features.online.embedded import EmbeddedValkey
from loadtests.bench.shop import fill, promote, shop_parts
from loadtests.faults.rig import NOTHING_KEPT, Rig
from loadtests.run import LoadTestError
from loadtests.soak.clients import Asked, ask
from loadtests.soak.journal import Journal
from loadtests.soak.memory import memory, open_files, threads
from loadtests.soak.step import Load, Step
from loadtests.soak.traffic import Shop, Traffic
from models.bundle import write_bundle
from models.parts import Parts

HOME = "home-"
SAMPLES = 60
"""Looks at the worker's memory in a step, but not more than one a second."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done in all."""

    folder: Path
    steps: int
    load: Load
    promotions: int

    @property
    def shop(self) -> Shop:
        """Return who is in the shop, and what."""
        return Shop(self.load.items, self.load.shoppers)

    def promotions_by(self, step: int) -> int:
        """Return how many promotions there are to be by the end of step number `step`."""
        return self.promotions * step // self.steps


def soak(plan: Plan, journal: Journal, tell: Callable[[Step], None]) -> None:
    """Make the steps that are missing and `tell` of each; raise `LoadTestError`."""
    done = journal.steps(plan.load)
    if len(done) >= plan.steps:
        return
    with _home(plan) as home:
        other = write_bundle(home / "models", _parts(plan, seed=3))
        try:
            asyncio.run(_soak(Soak(plan, home, other, done), journal, tell))
        finally:
            _keep_log(home, plan.folder)


async def _soak(soak: "Soak", journal: Journal, tell: Callable[[Step], None]) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with soak.rig.running():
        while step := await soak.step():
            journal.append(step)
            tell(step)


class Soak:
    """One service process, from its start to the end of the plan."""

    def __init__(self, plan: Plan, home: Path, other: str, done: list[Step]) -> None:
        """Go on after the steps that are `done`; `other` is the version to promote."""
        quiet = {"CUVEE_DRAIN_S": "0", "CUVEE_LOG_LEVEL": "WARNING"}
        self.rig = Rig(home, {**quiet, **NOTHING_KEPT})
        self._plan = plan
        self._turns = (f"/v1/models/{other}/promote", "/v1/models/rollback")
        self._turn = 0
        self._steps = len(done)
        self._process = done[-1].process + 1 if done else 1
        self._promotions = done[-1].promotions if done else 0
        self._is_first = True

    async def step(self) -> Step | None:
        """Return the next step once it is made; None where all are."""
        if self._steps >= self._plan.steps:
            return None
        self._steps += 1
        watch = _Watch(self._worker(), (self._steps - 1) * self._plan.load.step_s)
        asked, refused = await self._loaded(watch)
        if self.rig.workers() != [watch.pid]:
            raise LoadTestError("the worker ended and was replaced; service.log may tell why")
        step = self._told(watch, asked, refused)
        self._is_first = False
        return step

    async def _loaded(self, watch: "_Watch") -> tuple[Asked, int]:
        load, traffic = self._plan.load, Traffic(self._plan.shop, seed=self._steps)
        async with watch.looking(load.step_s), asyncio.TaskGroup() as group:
            asking = group.create_task(ask(self.rig, traffic, load.rate, load.step_s))
            promoting = group.create_task(self._promote(watch))
        return asking.result(), promoting.result()

    async def _promote(self, watch: "_Watch") -> int:
        """Promote and roll back at even distances; return how many were refused."""
        missing = self._plan.promotions_by(self._steps) - self._promotions
        refused = 0
        for number in range(missing):
            due = (number + 0.5) * self._plan.load.step_s / missing
            await asyncio.sleep(max(0.0, due - watch.elapsed()))
            watch.promoted_s.append(watch.now())
            is_done = await self._promoted()
            self._turn += is_done
            refused += not is_done
        self._promotions += missing - refused
        return refused

    async def _promoted(self) -> bool:
        """Tell whether the promotion or rollback whose turn it is was answered with 200."""
        try:
            return await self.rig.admin(self._turns[self._turn % 2]) == 200
        except aiohttp.ClientError:
            return False

    def _worker(self) -> int:
        workers = self.rig.workers()
        if len(workers) != 1:
            raise LoadTestError(f"expected one worker, there are {len(workers)}")
        return workers[0]

    def _told(self, watch: "_Watch", asked: Asked, refused: int) -> Step:
        service = self.rig.service
        assert service is not None
        waits = sorted(1e3 * each.seconds for each in asked.lists.answers) or [0.0]
        cuts = quantiles(waits, n=100) if len(waits) > 1 else waits * 99
        return Step(
            load=self._plan.load,
            seconds=self._steps * self._plan.load.step_s,
            process=self._process,
            is_first=self._is_first,
            requests=asked.requests,
            failed=asked.failed,
            examples=asked.examples,
            promotions=self._promotions,
            refused=refused,
            promoted_s=watch.promoted_s,
            rss_mb=watch.rss_mb,
            worker=memory([watch.pid]),
            master=memory([service.pid]),
            valkey=memory(self.rig.processes("valkey-server")),
            consumers=memory(self.rig.processes("features consume")),
            p50_ms=cuts[49],
            p99_ms=cuts[98],
            open_files=open_files(watch.pid),
            threads=threads(watch.pid),
        )


class _Watch:
    """Looks at a worker's memory while a step lasts; `since` is when that began."""

    def __init__(self, pid: int, since: float) -> None:
        self.pid = pid
        self.rss_mb: list[tuple[float, float]] = []
        self.promoted_s: list[float] = []
        self._since = since
        self._started = monotonic()

    def elapsed(self) -> float:
        return monotonic() - self._started

    def now(self) -> float:
        return round(self._since + self.elapsed(), 2)

    @asynccontextmanager
    async def looking(self, step_s: float) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self._look(max(1.0, step_s / SAMPLES)))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))

    async def _look(self, pause_s: float) -> None:
        while True:
            self.rss_mb.append((self.now(), round(memory([self.pid]).rss_mb, 2)))
            await asyncio.sleep(pause_s)


@contextmanager
def _home(plan: Plan) -> Iterator[Path]:
    """Make a home with a bundle that serves, and shoppers in its store; remove what kills left."""
    for stale in plan.folder.glob(f"{HOME}*"):
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        dir=plan.folder, prefix=HOME, ignore_cleanup_errors=True
    ) as scratch:
        home = Path(scratch)
        promote(home, _parts(plan, seed=1))
        with EmbeddedValkey(home) as store:
            asyncio.run(fill(store, plan.shop.items, plan.shop.shoppers))
        yield home


def _parts(plan: Plan, seed: int) -> Parts:
    shop = plan.shop
    return shop_parts(shop.items, trees=plan.load.trees, seed=seed, shoppers=shop.shoppers)


def _keep_log(home: Path, folder: Path) -> None:
    """Add what the service logged to that of the processes before it."""
    log = home / "service.log"
    if log.exists():
        with log.open("rb") as told, (folder / "service.log").open("ab") as kept:
            shutil.copyfileobj(told, kept)
