"""Raising the share of shoppers that get popular items, until it ends by itself."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from monitoring.fallback_share import FallbackShare, share_now, write_share
from monitoring.response.case import Case


class RaiseFallback:
    """Raises the share of one home."""

    def __init__(self, home: Path, clock: Callable[[], float]) -> None:
        """Change nothing yet."""
        self._home = home
        self._clock = clock

    async def refusal(self, case: Case) -> str | None:  # noqa: ARG002 - a seam
        """Return nothing: at its most the share is only kept for longer."""
        return None

    async def do(self, case: Case) -> str:
        """Raise it; raise `OSError`."""
        return await asyncio.to_thread(self._raise, case)

    def _raise(self, case: Case) -> str:
        raising, now_s = case.policy.raising, self._clock()
        before = share_now(self._home, now_s)
        share = max(before, min(before + raising.share, raising.up_to))
        write_share(self._home, FallbackShare(share, now_s, now_s + raising.for_s, case.why))
        minutes = raising.for_s / 60
        return f"{share:.0%} of shoppers get popular items for {minutes:g} min, {before:.0%} before"
