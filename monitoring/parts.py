"""Things that are looked at again and again beside the service, each failing alone."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter

log = logging.getLogger(__name__)


class Part(Protocol):
    """One of them. A step that raises is taken again as any other."""

    @property
    def name(self) -> str:
        """Return what it is called."""
        ...

    async def step(self) -> None:
        """Do what is to be done now."""
        ...

    async def close(self) -> None:
        """End what is under way."""
        ...


def failures_of(registry: CollectorRegistry) -> Counter:
    """Return what counts steps that failed, by part."""
    return Counter(
        "cuvee_monitor_failures", "Steps that failed for a defect.", ["part"], registry=registry
    )


async def run_parts(
    parts: Sequence[Part], every_s: float, stop: asyncio.Event, registry: CollectorRegistry
) -> None:
    """Let each part take a step every so many seconds until it is time to stop."""
    failures = failures_of(registry)
    async with asyncio.TaskGroup() as group:
        for part in parts:
            group.create_task(_run(part, every_s, stop, failures.labels(part.name)))


async def _run(part: Part, every_s: float, stop: asyncio.Event, failed: Counter) -> None:
    try:
        while not stop.is_set():
            try:
                await part.step()
            except Exception:  # the other parts go on, and this one may be mended by then
                log.exception("a step of %s failed", part.name)
                failed.inc()
            with suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await stop.wait()
    finally:
        await part.close()
