"""How late the event loop is: every other promise of the service rests on it."""

import asyncio

from monitoring.metrics import Metrics

INTERVAL_S = 0.25


async def watch_loop_lag(metrics: Metrics) -> None:
    """Record, four times a second and for ever, how much later than asked the loop woke us."""
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + INTERVAL_S
        await asyncio.sleep(INTERVAL_S)
        metrics.loop_lag(clock() - due)
