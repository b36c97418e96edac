"""One fault under load: start, ask, break, mend, ask on, and judge."""

import asyncio
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from features.online.embedded import EmbeddedValkey
from loadtests.bench.generator import MOST_CONNECTIONS
from loadtests.bench.shop import fill, item_ids, promote, shop_parts, write_bodies
from loadtests.faults.asker import Asker
from loadtests.faults.capacity import capacity
from loadtests.faults.core_wait import CoreWait
from loadtests.faults.events import Events
from loadtests.faults.faults import ITEMS, SHOPPERS, Fault
from loadtests.faults.proxy import ChaosProxy
from loadtests.faults.rig import Rig
from loadtests.faults.verdict import Verdict, judge

BEFORE, AFTER = 0.3, 0.7
"""Of the load around a fault, as a share of how long things are usually broken."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Tries faults below `folder`: `seconds` each, at `rate` requests a second."""

    folder: Path
    seconds: float
    rate: float

    def prepare(self) -> None:
        """Make a home with a bundle, and shoppers in its store; each fault gets a copy."""
        home = self.folder / "home"
        promote(home, shop_parts(ITEMS, shoppers=SHOPPERS))
        with EmbeddedValkey(home) as store:
            asyncio.run(fill(store, ITEMS, SHOPPERS))
        write_bodies(self._bodies, 0, SHOPPERS)

    async def broken(self, fault: Fault) -> Verdict:
        """Return what `fault` did."""
        home = Path(self.folder, "fault")
        shutil.rmtree(home, ignore_errors=True)
        ignored = shutil.ignore_patterns("*.sock", ".lock")
        shutil.copytree(self.folder / "home", home, ignore=ignored)
        if fault.trees or fault.items != ITEMS:
            parts = shop_parts(fault.items, trees=fault.trees, shoppers=SHOPPERS, indexed=False)
            promote(home, parts)
        variables = {name: value.format(home=home) for name, value in fault.environment.items()}
        proxy = ChaosProxy(Path(), self.folder / "proxy.sock") if fault.behind_proxy else None
        rig = Rig(home, variables, proxy=proxy, lasts_s=self.seconds * fault.lasts)
        events = Events(rig, list(item_ids(ITEMS)))
        wait = CoreWait(rig.workers)
        async with rig.running():
            broken = await self._under_load(fault, rig, events, wait)
        told = [
            each
            for each in rig.answers
            if not any(gone <= each.due_s < back for gone, back in rig.away)
        ]
        return judge(fault.name, fault.allows, told, broken, events.outcome(), wait.longest_s)

    async def _under_load(
        self, fault: Fault, rig: Rig, events: Events, wait: CoreWait
    ) -> tuple[float, float]:
        """Return when it was broken, from and to."""
        lasts = rig.lasts_s
        if fault.overload:
            most = await asyncio.to_thread(capacity, rig.port, self._bodies)
            rig.flood = Asker(self._bodies, fault.overload * most, lasts, MOST_CONNECTIONS)
        usual = Asker(self._bodies, self.rate, lasts + self.seconds * (BEFORE + AFTER))
        async with events.sent(), wait.watched(), usual.asking(rig.port, rig.answers):
            await asyncio.sleep(self.seconds * BEFORE)
            began = time.time()
            async with fault.breaks(rig):
                await asyncio.sleep(max(0.0, began + lasts - time.time()))
            return began, time.time()

    @property
    def _bodies(self) -> Path:
        return self.folder / "bodies.txt"
