"""Work that follows an answer: tracked, bounded, counted when it fails, awaited at the end."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from features.futures import end
from monitoring.labels import ErrorKind
from monitoring.metrics import Metrics


class Background:
    """Runs coroutines that nobody waits for, at most `limit` at a time."""

    def __init__(self, metrics: Metrics, limit: int = 256) -> None:
        """Drop what would go beyond `limit`, and count it as failed."""
        self._metrics = metrics
        self._limit = limit
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, start: Callable[[], Coroutine[Any, Any, None]], kind: ErrorKind) -> None:
        """Run `start()`; count its failure under `kind`."""
        if len(self._tasks) >= self._limit:
            self._metrics.error(kind)
            return
        task = asyncio.ensure_future(start())
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(done, kind))

    async def close(self, timeout_s: float = 1.0) -> None:
        """Wait up to `timeout_s` seconds for what is under way, then cancel it."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=timeout_s)
        await end(*late)

    def _ended(self, task: asyncio.Task[None], kind: ErrorKind) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._metrics.error(kind)
