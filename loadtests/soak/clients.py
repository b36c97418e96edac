"""All who ask during a step: shoppers, their events, mistakes, those who hang up, Prometheus."""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp

from loadtests.bench.generator import UNANSWERED, OpenLoop, Tally
from loadtests.faults.rig import Rig
from loadtests.soak.traffic import Traffic

LISTS, EVENTS, MISTAKES, HANG_UPS = 0.90, 0.06, 0.03, 0.01
"""Shares of all requests."""

SCRAPE_S = 15.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of a step's requests: of lists, events and mistakes; the status of each scrape."""

    lists: Tally = field(default_factory=lambda: Tally(b'"items":[{'))
    events: Tally = field(default_factory=lambda: Tally(b'"accepted":1', (202,)))
    mistakes: Tally = field(default_factory=lambda: Tally(b'"status":4', (400, 422)))
    scrapes: list[int] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """Return how many there were."""
        return len(self.scrapes) + sum(len(each.answers) for each in self._tallies())

    @property
    def failed(self) -> int:
        """Return how many were not answered as they should be."""
        failed = sum(status != 200 for status in self.scrapes)
        return failed + sum(each.failed for each in self._tallies())

    @property
    def examples(self) -> list[str]:
        """Return the beginnings of some that were not."""
        told = [each for tally in self._tallies() for each in tally.examples]
        return [repr(each.decode(errors="replace")) for each in told]

    def _tallies(self) -> tuple[Tally, ...]:
        return self.lists, self.events, self.mistakes


async def ask(rig: Rig, traffic: Traffic, rate: float, seconds: float) -> Asked:
    """Ask for `seconds`, and return what came of it."""
    asked, port = Asked(), rig.port
    others = [
        asyncio.ensure_future(_hang_up(port, traffic, HANG_UPS * rate)),
        asyncio.ensure_future(_scrape(rig, asked.scrapes)),
    ]
    try:
        await asyncio.gather(
            OpenLoop(port, traffic.lists(), asked.lists).run(LISTS * rate, seconds),
            OpenLoop(port, traffic.events(), asked.events).run(EVENTS * rate, seconds),
            OpenLoop(port, traffic.mistakes(), asked.mistakes).run(MISTAKES * rate, seconds),
        )
    finally:
        for other in others:
            other.cancel()
        await asyncio.wait(others)
    return asked


async def _scrape(rig: Rig, statuses: list[int]) -> None:
    """Fetch /metrics as Prometheus does."""
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{rig.url}/metrics") as told:
                    await told.read()
                    statuses.append(told.status)
            except aiohttp.ClientError:
                statuses.append(UNANSWERED)
            await asyncio.sleep(SCRAPE_S)


async def _hang_up(port: int, traffic: Traffic, rate: float) -> None:
    """Ask and go, before the answer or in the middle of the question."""
    draw, requests = random.Random(3), traffic.lists()
    while True:
        await asyncio.sleep(draw.expovariate(rate))
        request = next(requests)
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request[: draw.choice((len(request), len(request) - 5, 20))])
            await asyncio.sleep(draw.uniform(0, 0.01))
            writer.transport.abort()
