"""Promotions under an open loop: latency before, during and after them, and the memory that stays.

asked ─ nothing, for a window ─ promotions, at even distances, for one ─ nothing, for one
                              └ RSS                                                     └ RSS
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

from loadtests.bench.generator import Answer
from loadtests.faults.asker import Asker
from loadtests.faults.rig import NOTHING_KEPT, Rig
from loadtests.run import LoadTestError
from loadtests.soak.memory import memory

_LOADS = 15
"""A promotion loads a bundle in steps, beside answers; so many times as long leaves a pause."""

_RESAMPLES = 400


class P99(NamedTuple):
    """The 99th percentile of latency, and the ends of its 95 % interval, in ms.

    By bootstrap over seconds: what delays one answer delays its neighbours.
    """

    ms: float
    low: float
    high: float

    @classmethod
    def of(cls, answers: Sequence[Answer]) -> "P99":
        """Return that of answers; raise `LoadTestError` where there are none."""
        by_second: dict[int, list[float]] = defaultdict(list)
        for each in answers:
            by_second[int(each.due_s)].append(1_000 * each.seconds)
        seconds, draw = list(by_second.values()), random.Random(1)
        if not seconds:
            raise LoadTestError("nothing was asked in a window: the rate is too small")
        drawn = sorted(_p99(draw.choices(seconds, k=len(seconds))) for _ in range(_RESAMPLES))
        return cls(_p99(seconds), drawn[_RESAMPLES // 40], drawn[-1 - _RESAMPLES // 40])

    def __str__(self) -> str:
        """Return it with its interval."""
        return f"{self.ms:.1f} ({self.low:.1f} to {self.high:.1f})"


@dataclass(frozen=True, slots=True)
class Promoted:
    """What promotions did to answers, and to the RSS of the workers, in MB."""

    promotions: int
    median_s: float
    """To verify a bundle that is not loaded, load and warm it in the worker, and serve by it."""

    before: P99
    during: P99
    after: P99
    slowest_ms: float
    """Of the answers during promotions."""

    requests: int
    failed: int
    """Of all requests, those that got no list."""

    rss_before_mb: float
    rss_most_mb: float
    rss_after_mb: float


class Often(NamedTuple):
    """So many promotions, and the seconds from one to the next where loading takes no time."""

    promotions: int
    every_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Promotions, at a `rate` of requests a second, of bundles that load in `load_s`.

    For `warm_s` is asked before anything is measured.
    """

    often: Often
    rate: float
    load_s: float
    warm_s: float

    @property
    def pace_s(self) -> float:
        """Return the seconds from one promotion to the next."""
        return self.often.every_s + _LOADS * self.load_s

    @property
    def window_s(self) -> float:
        """Return how long all promotions take, and how long there are none before and after."""
        return self.often.promotions * self.pace_s


async def promoted(home: Path, bodies: Path, versions: tuple[str, str], plan: Plan) -> Promoted:
    """Promote one and the other of two versions by turns, each time by loading it.

    Raises `LoadTestError` where one is refused, or they take twice as long as planned.
    """
    rig = Rig(home, {"CUVEE_CACHE_TTL_S": "0", **NOTHING_KEPT})
    window_s, told = plan.window_s, list[Answer]()
    async with rig.running():
        asker = Asker(bodies, plan.rate, plan.warm_s + 4 * window_s, ends_with_it=True)
        async with asker.asking(rig.port, told):
            await asyncio.sleep(plan.warm_s + window_s)
            began, before_mb = time.time(), _rss_mb(rig)
            took, most_mb = await _promotions(rig, versions, plan)
            ended = time.time()
            if ended > began + 2 * window_s:
                raise LoadTestError(f"promotions took {ended - began:.0f} s, twice {window_s:.0f}")
            await asyncio.sleep(window_s)
            after_mb = _rss_mb(rig)
    during = [each for each in told if began <= each.due_s < ended]
    return Promoted(
        promotions=plan.often.promotions,
        median_s=median(took),
        before=P99.of([each for each in told if began - window_s <= each.due_s < began]),
        during=P99.of(during),
        after=P99.of([each for each in told if ended <= each.due_s]),
        slowest_ms=1_000 * max(each.seconds for each in during),
        requests=len(told),
        failed=sum(not each.expected for each in told),
        rss_before_mb=before_mb,
        rss_most_mb=most_mb,
        rss_after_mb=after_mb,
    )


async def _promotions(rig: Rig, versions: tuple[str, str], plan: Plan) -> tuple[list[float], float]:
    """Return the seconds that each promotion took, and the most RSS seen behind one, in MB."""
    began, took, most_mb = time.monotonic(), list[float](), 0.0
    async with rig.administrator() as session:  # one: to open one costs as much as a promotion
        for turn in range(plan.often.promotions):
            started, path = time.monotonic(), f"/v1/models/{versions[turn % 2]}/promote"
            if (status := await rig.post(session, path)) != 200:
                raise LoadTestError(f"promotion {turn + 1} was answered with {status}")
            took.append(time.monotonic() - started)
            most_mb = max(most_mb, _rss_mb(rig))
            due = began + (turn + 1) * plan.pace_s
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    return took, most_mb


def _rss_mb(rig: Rig) -> float:
    return memory(rig.workers()).rss_mb


def _p99(seconds: Sequence[Sequence[float]]) -> float:
    ordered = sorted(each for second in seconds for each in second)
    return ordered[min(int(0.99 * len(ordered)), len(ordered) - 1)]
