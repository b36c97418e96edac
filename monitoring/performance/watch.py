"""Judges the model that serves again and again, beside the service."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import FeaturesError, StoreError
from features.lists import spool
from monitoring.drift.journal import Journal
from monitoring.performance.metrics import PerformanceMetrics

if TYPE_CHECKING:  # what it reads with
    from monitoring.performance.judged import Judged

EVERY_S = 60.0
AGAIN_S = 6 * 3_600.0
"""Figures change when another day is mature or another model serves; lists may have come late."""

WAITED_S = 6 * 3_600.0
"""So long no list waits for its table where somebody carries them."""

_TABLE = "offline/served/day=*"
"""What the table of lists has of any day; to open it takes the extra `train`."""


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
        self._metrics.lists(await asyncio.to_thread(_has_lists, self._home))
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
        if now != self._judged or self._clock() >= self._again:
            self._show(judged(OfflineStore(self._home), policy_in_force(), credit, now_ms))
            self._judged, self._again = now, self._clock() + AGAIN_S
        _check_carried(self._home, now_ms)

    def _show(self, told: "Judged") -> None:
        """Leave what is said, and tell what is said otherwise than before."""
        told.write(self._home)
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


def _has_lists(home: Path) -> bool:
    """Tell whether there are lists of any day; where that cannot be told there may be."""
    try:
        return spool.is_waiting(home) or any(home.glob(_TABLE))
    except OSError:
        return True


def _check_carried(home: Path, now_ms: int) -> None:
    """Raise `StoreError` where lists wait for so long that nobody carries them."""
    waiting = spool.whole_segments(home)
    try:
        waited_s = now_ms / 1_000 - waiting[0].path.stat().st_mtime
    except (IndexError, FileNotFoundError):  # carried, perhaps just now
        return
    if waited_s > WAITED_S:
        raise StoreError(
            f"{len(waiting)} segments of served lists wait for their table: "
            "does python -m features consume --group offline run?"
        )
