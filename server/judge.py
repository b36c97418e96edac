"""Looks at the model on trial, and moves it on or ends it as is declared.

One worker of a home does so, whoever has the lock; several homes judge by what all of them counted,
and the registry lets only one of them move a step.
"""

import asyncio
import fcntl
import logging
import os
import socket
from pathlib import Path
from time import monotonic

from features.errors import FeaturesError
from models.canary import Canary
from models.canary_counts import read_counts
from models.registry import Registry
from models.rollout import Rollout
from models.verdict import Move, Verdict, judge
from monitoring.labels import CanaryMove, ErrorKind
from monitoring.metrics import Metrics
from server.current_model import CurrentModel
from server.errors import ServiceError
from server.model_moves import ModelMoves

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""How often a trial is looked at; its tests allow for any number of looks."""

RETRY_S = 15.0
"""When a move that was refused is tried again."""


class Judge:
    """Judges what is on trial in one home."""

    def __init__(
        self,
        models: CurrentModel,
        registry: Registry,
        moves: ModelMoves,
        rollout: Rollout,
        metrics: Metrics,
    ) -> None:
        """Look at nothing yet."""
        self._models = models
        self._registry = registry
        self._moves = moves
        self._rollout = rollout
        self._metrics = metrics
        self._home = registry.directory.parent
        self._lock: int | None = None
        self._not_before = 0.0
        self._mismatched = ""

    async def follow(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                if self._models.trial is not None or self._models.has_refused_canary:
                    await self.look()
            except Exception:  # the next look may find it mended
                log.exception("the model on trial could not be judged")
                self._metrics.error(ErrorKind.BACKGROUND)

    async def look(self) -> None:
        """Judge once, and do what is to be done."""
        if monotonic() < self._not_before:
            return
        canary = await asyncio.to_thread(self._on_trial)
        if canary is None:
            return
        verdict = await asyncio.to_thread(self._verdict, canary)
        self._tell_mismatch(canary, verdict)
        if verdict.move is Move.HOLD or (verdict.move is Move.ADVANCE and not canary.automatic):
            return
        try:
            await self._do(canary, verdict)
        except (FeaturesError, ServiceError) as error:
            self._not_before = monotonic() + RETRY_S
            log.warning("%s of %s: %s", verdict.move, canary.version, error)

    def close(self) -> None:
        """Let another worker judge."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _tell_mismatch(self, canary: Canary, verdict: Verdict) -> None:
        """Say once of a step that its shoppers are not divided as was declared."""
        if verdict.is_mismatch and self._mismatched != canary.key:
            self._mismatched = canary.key
            log.error("model %s does not go on: %s", canary.version, verdict.why)

    async def _do(self, canary: Canary, verdict: Verdict) -> None:
        who = f"judge@{socket.gethostname()}"
        if verdict.move is Move.STOP:
            await self._moves.stop_canary(canary, verdict.why, who)
            log.error("model %s is not on trial any more: %s", canary.version, verdict.why)
            self._metrics.canary_move(CanaryMove.STOP)
        else:
            await self._moves.advance_canary(canary, verdict.why, who)
            log.info("model %s goes on: %s", canary.version, verdict.why)
            self._metrics.canary_move(CanaryMove.ADVANCE)
        await self._models.refresh()

    def _on_trial(self) -> Canary | None:
        """Return what is to be judged here, None where another worker does."""
        canary = self._registry.canary()
        return canary if canary is not None and self._is_judge() else None

    def _verdict(self, canary: Canary) -> Verdict:
        refused = self._models.refused(canary)
        if refused is not None:
            return Verdict(Move.STOP, f"cannot be loaded: {refused}", 0, ())
        return judge(self._rollout, canary, read_counts(self._home, canary))

    def _is_judge(self) -> bool:
        if self._lock is None:
            self._lock = _locked(self._home / "run" / "canary" / ".judge")
        return self._lock is not None


def _locked(path: Path) -> int | None:
    """Return a lock that ends with this process, None where another one has it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
