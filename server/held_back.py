"""Shoppers that get popular items for a while, as `monitoring.fallback_share` says.

The file is looked at off the request path; while it holds nobody back a request pays for one
comparison.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from monitoring.fallback_share import end_of, place_of, share_now
from monitoring.metrics import Metrics

log = logging.getLogger(__name__)

LOOK_S = 1.0


class HeldBack:
    """Who is held back now."""

    __slots__ = ("_clock", "_home", "_metrics", "end")

    def __init__(
        self, home: Path, metrics: Metrics, clock: Callable[[], float] = time.time
    ) -> None:
        """Hold nobody back yet."""
        self._home = home
        self._metrics = metrics
        self._clock = clock
        self.end = 0
        """Below it are the places of those who are; 0 is nobody."""

    def has(self, user_id: str) -> bool:
        """Tell whether a shopper is held back."""
        return place_of(user_id) < self.end

    async def look(self) -> None:
        """Do as the file says now."""
        share = await asyncio.to_thread(share_now, self._home, self._clock())
        self.end = end_of(share)
        self._metrics.fallback_share(share)

    async def follow(self) -> None:
        """Look for ever."""
        while True:
            try:
                await self.look()
            except Exception:  # nobody may stay held back for it
                self.end = 0
                log.exception("who is held back cannot be told")
            await asyncio.sleep(LOOK_S)
