"""How long the service was ready to go on and had no core: what no service can do anything about.

Others of the machine take it, or what runs beside on the same one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

EVERY_S = 0.1


class CoreWait:
    """Looks ten times a second how long each of some processes' main threads had to wait."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        """Look at those that `pids` names at each time."""
        self._pids = pids
        self._before: dict[int, int] = {}
        self.longest_s = 0.0
        """Within one tenth of a second."""

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Look until left."""
        looking = asyncio.create_task(self._look_on())
        try:
            yield
        finally:
            looking.cancel()

    async def _look_on(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(EVERY_S)

    def look(self) -> None:
        """Add what was waited since the last time."""
        now = {pid: waited for pid in self._pids() if (waited := _waited_ns(pid)) is not None}
        for pid, waited in now.items():
            since = waited - self._before.get(pid, waited)
            self.longest_s = max(self.longest_s, since / 1e9)
        self._before = now


def _waited_ns(pid: int) -> int | None:
    """Return the nanoseconds that the main thread waited for a core; None where none tells."""
    try:
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[1])
    except (OSError, IndexError):
        return None
