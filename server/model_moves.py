"""Moving the aliases of models: in the home, or in the registry that homes share.

What a shared registry needs (s3fs, botocore) is loaded by a process of its own, `python -m models`:
here it would take 0.3 s of the processor from requests.
"""

import asyncio
import logging
import os
import subprocess
import sys
from functools import partial

from models.advance import advance
from models.canary import Canary
from models.errors import UNSURE, AwayError, BehindError, ModelsError, OverError
from models.model import Model
from models.registry import Registry
from models.rollout import ROLLOUT, Rollout
from models.signature import PUBLIC_KEY
from models.why import one_line
from server.errors import ConflictError, ServiceError, UnavailableError
from server.settings import Settings

WITHIN_S = 120.0
"""How long a bucket may take that answers."""

RETRY_S = 10
"""When somebody may ask again for what a registry that is away did not do."""


log = logging.getLogger(__name__)


class _BehindError(UnavailableError):
    """A move that was made in the shared registry, and that this home does not follow yet."""


class _OverError(ConflictError):
    """A trial that has ended in the shared registry already."""


class ModelMoves:
    """Promotes and rolls back, at once or step by step.

    In this home alone a model that is `loaded` is not loaded again. A shared registry that is away
    is `UnavailableError`.
    """

    def __init__(self, settings: Settings, registry: Registry, rollout: Rollout) -> None:
        """Move aliases of `registry`, or where `settings.registry` says, as `rollout` declares."""
        self._rollout = rollout
        self._registry = registry
        self._is_shared = settings.registry is not None
        self._environment = {
            "CUVEE_HOME": str(settings.home),
            "CUVEE_REGISTRY": settings.registry or "",
            PUBLIC_KEY: str(settings.model_public_key or ""),
            ROLLOUT: str(settings.rollout or ""),
        }

    async def promote(
        self, version: str, why: str, who: str, loaded: Model | None, *, serves: str | None
    ) -> None:
        """Promote; raise as `Registry.promote`, or `ConflictError` where another process did.

        In this home alone only if `serves` still does: whoever asked may have waited for a load.
        """
        if self._is_shared:
            await asyncio.to_thread(self._run, "promote", "--why", why, "--who", who, "--", version)
        else:
            promote = partial(self._registry.promote, serves=serves, loaded=loaded)
            await asyncio.to_thread(promote, version, why, who)

    async def rollback(
        self, why: str, who: str, loaded: Model | None, *, serves: str | None
    ) -> None:
        """Roll back; raise as `Registry.rollback`, or `ConflictError` where another process did.

        Only if `serves` does, unless that is None.
        """
        if self._is_shared:
            only = () if serves is None else ("--serves", serves)
            await asyncio.to_thread(self._run, "rollback", "--why", why, "--who", who, *only)
        else:
            rollback = partial(self._registry.rollback, serves=serves, loaded=loaded)
            await asyncio.to_thread(rollback, why, who)

    async def start_canary(self, version: str, why: str, who: str, loaded: Model | None) -> None:
        """Begin a trial; raise as `Registry.start_canary`, or `ConflictError`."""
        if self._is_shared:
            words = ("canary", "start", "--why", why, "--who", who, "--", version)
            await asyncio.to_thread(self._run, *words)
        else:
            canary = self._rollout.begin(version)
            await asyncio.to_thread(self._registry.start_canary, canary, why, who, loaded=loaded)

    async def advance_canary(self, canary: Canary, why: str, who: str) -> None:
        """Take the step after `canary`; raise `ConflictError` where another is on."""
        if self._is_shared:
            await self._step("advance", canary, why, who)
        else:
            await asyncio.to_thread(advance, self._registry, self._rollout, canary, why, who)

    async def stop_canary(self, canary: Canary, why: str, who: str) -> ServiceError | None:
        """End a trial, in this home at least; return what it is where it does not end by that."""
        told: ServiceError | None = None
        if self._is_shared:
            try:
                await self._step("stop", canary, why, who)
            except _BehindError as error:
                why = f"{why}; {error}"
            except _OverError as error:
                told, why = error, f"{why}; {error}"
            except (ConflictError, UnavailableError) as error:
                why = f"{why}; in this home alone: {error}"
                told = UnavailableError(f"the trial ended in this home alone: {error}", RETRY_S)
            else:
                return None
        await asyncio.to_thread(self._registry.move_canary, canary, None, why, who)
        return told

    async def _step(self, verb: str, canary: Canary, why: str, who: str) -> None:
        words = ("canary", verb, "--step", canary.key, "--why", one_line(why), "--who", who)
        await asyncio.to_thread(self._run, *words)

    def _run(self, *words: str) -> None:
        try:
            done = subprocess.run(  # noqa: S603 - our own program
                (sys.executable, "-m", "models", *words),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=WITHIN_S,
                env={**os.environ, **self._environment},
            )
        except subprocess.TimeoutExpired:
            late = f"the shared registry took more than {WITHIN_S:g} s; {UNSURE}"
            raise UnavailableError(late, RETRY_S) from None
        told = done.stderr.rpartition("error: ")[2].strip()
        if done.returncode == AwayError.exit_code:
            away = f"the shared registry does not answer as it should: {told}"
            raise UnavailableError(away, RETRY_S)
        if done.returncode == BehindError.exit_code:
            raise _BehindError(told, RETRY_S)
        if done.returncode == OverError.exit_code:
            raise _OverError(told)
        if done.returncode == ModelsError.exit_code:
            raise ConflictError(told)
        if done.returncode:
            log.error("python -m models %s ended with %d: %s", words[0], done.returncode, told)
            died = f"python -m models {words[0]} ended with {done.returncode}; {UNSURE}"
            raise UnavailableError(died, RETRY_S)
