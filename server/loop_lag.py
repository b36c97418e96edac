"""How late the event loop is: every other promise of the service rests on it."""

import asyncio
from time import monotonic

from monitoring.metrics import Metrics

INTERVAL_S = 0.25


async def watch_loop_lag(metrics: Metrics) -> None:
    """Record, four times a second and for ever, how much later than asked the loop woke us."""
    while True:
        due = monotonic() + INTERVAL_S
        await asyncio.sleep(INTERVAL_S)
        metrics.loop_lag(monotonic() - due)
