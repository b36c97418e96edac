"""An answer that is made at most once a second, however many ask for it."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

KEPT_S = 1.0


class SharedAnswer:
    """Bytes that are made anew once they are a second old and somebody asks; once at a time."""

    def __init__(
        self, make: Callable[[], Awaitable[bytes]], clock: Callable[[], float] = monotonic
    ) -> None:
        """Make nothing before it is asked for."""
        self._make = make
        self._clock = clock
        self._made = b""
        self._until = float("-inf")
        self._making: asyncio.Task[None] | None = None

    async def told(self) -> bytes:
        """Return what was made last; raise what making it raises."""
        if self._clock() >= self._until:
            if self._making is None or self._making.done():
                self._making = asyncio.create_task(self._renew())
            await asyncio.shield(self._making)  # who hangs up takes it from nobody else
        return self._made

    async def _renew(self) -> None:
        self._made = await self._make()
        self._until = self._clock() + KEPT_S
