"""Training anew: a child process, one at a time, whose model serves only if it is no worse.

    python -m models train --against VERSION ─ candidate ─ no worse? ─ promote, or try as a canary
                                                           └ left as candidate, with the reason

CUVEE_HOME/response/training/ID.log, ID.json      what the child said, and what came of it

The child ends with this process, however that ends. Whoever comes next starts it again: it goes
on behind its last stage (`models.stages`).
"""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.child_process import end_child, start_child
from features.errors import FeaturesError
from models.alias_registry import AliasRegistry
from models.journal import CANDIDATE, Record
from models.rollout import rollout_in_force
from models.validated import VALIDATED, Validation
from monitoring.response.case import WHO, Case
from monitoring.response.policy import Policy, Serve
from monitoring.response.state import State, Training

log = logging.getLogger(__name__)

FOLDER = Path("response") / "training"
"""Below CUVEE_HOME."""

MOST_STARTS = 3
"""A training that dies with its monitor again and again is no use."""

KEPT_FILES = 40
"""Of the latest trainings, two each."""

_TOLD_CHARS = 400


@dataclass(frozen=True, slots=True)
class Ended:
    """A training that is over, and what it led to; `is_good` where a model came to serve."""

    training: Training
    led_to: str
    is_good: bool


class Retrain:
    """Trains anew, one model at a time."""

    def __init__(
        self, home: Path, registry: AliasRegistry, state: State, clock: Callable[[], float]
    ) -> None:
        """Start nothing yet; what is under way stands in `state`."""
        self._home = home
        self._registry = registry
        self._state = state
        self._clock = clock
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Return the id of the child, None where none runs."""
        return None if self._child is None else self._child.pid

    async def refusal(self, case: Case) -> str | None:
        """Return why none is begun."""
        if self._state.training is not None:
            return f"a training is under way, {self._state.training.id}"
        aliases = await asyncio.to_thread(self._registry.aliases)
        if aliases.production != case.lead.version:
            serves = aliases.production or "nothing"
            return f"this was found of {case.lead.version}, and {serves} serves"
        return None

    async def do(self, case: Case) -> None:
        """Begin; what comes of it is told by `look`. Raises `OSError`."""
        self._state.training = Training(
            case.id, case.rule.name, case.lead.version, case.why, self._clock()
        )
        try:
            self._start(self._state.training, case.policy)
        except OSError:
            self._state.training = None
            raise

    async def look(self, policy: Policy) -> Ended | None:
        """Return a training that has ended since; start one again that died with its monitor."""
        training = self._state.training
        if training is None:
            return None
        if self._child is None:
            if self._result(training) is None:
                return self._started_again(training, policy)
            code = 0
        else:
            polled = self._child.poll()
            if polled is None:
                return await self._too_long(training, policy)
            code = polled
        self._child = None
        led_to, is_good = await self._concluded(training, policy, code)
        self._state.training = None
        return Ended(training, led_to, is_good)

    def stop(self) -> None:
        """End the child; the next monitor goes on, and this start does not count."""
        if self._child is not None:
            end_child(self._child)
            self._child = None
            if self._state.training is not None:
                self._state.training.starts -= 1

    def _started_again(self, training: Training, policy: Policy) -> Ended | None:
        why = f"it died with its monitor {training.starts} times"
        if training.starts < MOST_STARTS:
            try:
                self._start(training, policy)
            except OSError as error:
                why = str(error)
            else:
                return None
        self._state.training = None
        return Ended(training, f"failed: {why}", is_good=False)

    async def _too_long(self, training: Training, policy: Policy) -> Ended | None:
        if self._clock() - training.started_s < policy.retraining.longest_s:
            return None
        await asyncio.to_thread(self.stop)
        self._state.training = None
        hours = policy.retraining.longest_s / 3_600
        return Ended(training, f"failed: ended after {hours:g} h", is_good=False)

    def _start(self, training: Training, policy: Policy) -> None:
        training.starts += 1
        folder = self._home / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.iterdir())[:-KEPT_FILES]:
            old.unlink()
        retraining = policy.retraining
        command = (
            sys.executable,
            *("-m", "models", "train", "--if-stale", "--no-promote", "--json"),
            *("--against", training.incumbent),
            *("--margin", str(retraining.margin)),
            *("--mature-s", str(round(retraining.mature_s))),
            *("--why", training.why, "--who", WHO),
        )
        with self._log(training).open("ab") as log, self._told(training).open("wb") as told:
            self._child = start_child(
                command,
                niceness=retraining.niceness,
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=log,
                env={**os.environ, "CUVEE_HOME": str(self._home)},
            )

    async def _concluded(self, training: Training, policy: Policy, code: int) -> tuple[str, bool]:
        result = self._result(training)
        if code or result is None:
            return f"failed: {self._last_words(training) or f'exit code {code}'}", False
        if result["version"] is None:
            return "nothing came since the model was made: there is nothing to learn from", False
        try:
            return await asyncio.to_thread(self._place, training, policy, result)
        except (FeaturesError, OSError) as error:
            return f"{result['version']} is left as candidate: {error}", False
        except Exception as error:  # else it would be concluded again at every step
            log.exception("what training %s made", training.id)
            return f"{result['version']} is left as candidate: {error!r}", False

    def _place(
        self, training: Training, policy: Policy, result: dict[str, Any]
    ) -> tuple[str, bool]:
        """Let a model serve that may; return what became of it."""
        version, validation = result["version"], Validation.of(result[VALIDATED])
        aliases = self._registry.aliases()
        if aliases.production == version:  # placed, and ended before that was kept
            return f"{version} serves: {validation}", True
        if aliases.canary is not None and aliases.canary.version == version:
            return f"{version} is on trial: {validation}", True
        if (why := self._not_to_serve(version, training, policy, validation)) is not None:
            return f"{version} is left as candidate: {why}", False
        told = f"{training.why}; {validation}"
        if policy.retraining.serve is Serve.CANARY:
            self._registry.start_canary(rollout_in_force().begin(version), told, WHO)
            return f"{version} is on trial: {validation}", True
        self._registry.promote(version, told, WHO, serves=validation.incumbent, canary=None)
        return f"{version} serves: {validation}", True

    def _not_to_serve(
        self, version: str, training: Training, policy: Policy, validation: Validation
    ) -> str | None:
        if not validation.is_no_worse:
            return str(validation)
        if was_tried(self._registry.history(), version):
            return f"it was tried before; {validation}"
        aliases = self._registry.aliases()
        if aliases.production != training.incumbent:
            return f"{aliases.production} came to serve meanwhile; {validation}"
        if aliases.canary is not None:
            return f"{aliases.canary.version} is on trial; {validation}"
        if policy.retraining.serve is Serve.BY_HAND:
            return f"it is promoted by hand; {validation}"
        return None

    def _result(self, training: Training) -> dict[str, Any] | None:
        """Return what a training came to, None where it did not come so far."""
        with suppress(OSError, ValueError):
            told = json.loads(self._told(training).read_bytes())
            if isinstance(told, dict) and "version" in told:
                return told
        return None

    def _last_words(self, training: Training) -> str:
        with suppress(OSError):
            lines = self._log(training).read_text(errors="replace").strip().splitlines()
            return lines[-1][-_TOLD_CHARS:] if lines else ""
        return ""

    def _log(self, training: Training) -> Path:
        return self._home / FOLDER / f"{training.id}.log"

    def _told(self, training: Training) -> Path:
        return self._home / FOLDER / f"{training.id}.json"


def was_tried(history: Iterator[Record], version: str) -> bool:
    """Tell whether a model was on trial, or served, since it waits; newest records first.

    It is told of again as long as nothing came since it was made, and must not go in circles.
    """
    for record in history:
        aliases, canary = record.aliases, record.aliases.canary
        if record.action == CANDIDATE and aliases.candidate == version:
            return False
        if aliases.production == version or (canary is not None and canary.version == version):
            return True
    return False
