"""Judges the model that serves again and again, beside the service."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from features.errors import FeaturesError
from monitoring.drift.journal import Journal
from monitoring.performance.metrics import PerformanceMetrics

EVERY_S = 60.0
AGAIN_S = 6 * 3_600.0
"""Figures change when another day is mature or another model serves; lists may have come late."""


class PerformanceWatch:
    """Looks every `every_s` seconds whether there is something to judge.

    What it reads with is loaded then, not before: a machine that only watches for drift has it not.
    """

    name = "performance"

    def __init__(
        self,
        home: Path,
        metrics: PerformanceMetrics,
        journal: Journal,
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Judge nothing yet."""
        self._home = home
        self._metrics = metrics
        self._journal = journal
        self._every_s = every_s
        self._clock = clock
        self._next = self._again = float("-inf")
        self._judged: tuple[object, ...] | None = None
        self._before: dict[str, str] = {}

    async def step(self) -> None:
        """Judge if it is time; say what is in the way of it."""
        if self._clock() < self._next:
            return
        self._next = self._clock() + self._every_s
        try:
            await asyncio.to_thread(self._judge)
        except (FeaturesError, OSError, ModuleNotFoundError) as error:
            self._metrics.watching(False)
            self._journal.tell("performance is not judged", reason=str(error))
        else:
            self._metrics.watching(True)

    async def close(self) -> None:
        """Hold nothing."""

    def _judge(self) -> None:
        from features.offline.store import OfflineStore  # noqa: PLC0415 - the extra `train`
        from monitoring.outcomes.policy import policy_in_force as outcomes  # noqa: PLC0415
        from monitoring.performance.judged import judged, occasion  # noqa: PLC0415
        from monitoring.performance.policy import policy_in_force  # noqa: PLC0415

        now_ms, credit = int(time.time() * 1_000), outcomes()
        now = occasion(self._home, credit, now_ms)
        if now == self._judged and self._clock() < self._again:
            return
        told = judged(OfflineStore(self._home), policy_in_force(), credit, now_ms)
        told.write(self._home)
        self._judged, self._again = now, self._clock() + AGAIN_S
        self._metrics.show(told)
        states = {
            " ".join(filter(None, (each.metric, each.segment))): str(each.state)
            for each in told.verdicts
        }
        for name, state in states.items():
            before = self._before.get(name)
            if before is not None and before != state:
                self._journal.tell(state, metric=name, before=before, version=told.version)
        self._before = states
