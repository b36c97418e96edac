"""Moving the aliases of models: in the home, or in the registry that homes share.

What a shared registry needs (s3fs, botocore) is loaded by a process of its own, `python -m models`:
here it would take 0.3 s of the processor from requests.
"""

import asyncio
import os
import subprocess
import sys

from models.registry import Registry
from models.signature import PUBLIC_KEY
from server.errors import ConflictError
from server.settings import Settings

WITHIN_S = 120.0
"""How long a bucket may take."""


class ModelMoves:
    """Promotes and rolls back."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        """Move aliases of `registry`, or where `settings.registry` says."""
        self._registry = registry
        self._is_shared = settings.registry is not None
        self._environment = {
            "CUVEE_HOME": str(settings.home),
            "CUVEE_REGISTRY": settings.registry or "",
            PUBLIC_KEY: str(settings.model_public_key or ""),
        }

    async def promote(self, version: str, why: str, who: str) -> None:
        """Promote; raise as `Registry.promote`, or `ConflictError` where another process did."""
        if self._is_shared:
            await asyncio.to_thread(self._run, "promote", "--why", why, "--who", who, "--", version)
        else:
            await asyncio.to_thread(self._registry.promote, version, why, who)

    async def rollback(self, why: str, who: str) -> None:
        """Roll back; raise as `Registry.rollback`, or `ConflictError` where another process did."""
        if self._is_shared:
            await asyncio.to_thread(self._run, "rollback", "--why", why, "--who", who)
        else:
            await asyncio.to_thread(self._registry.rollback, why, who)

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
            raise ConflictError(f"the shared registry took more than {WITHIN_S:g} s") from None
        if done.returncode:
            raise ConflictError(done.stderr.rpartition("error: ")[2].strip())
