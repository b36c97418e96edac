"""What happens four times a second: how late the loop is, and what the metrics noted.

Every other promise of the service rests on the first.
"""

import asyncio
from time import monotonic

from monitoring.metrics import Metrics

INTERVAL_S = 0.25


async def watch_loop_lag(metrics: Metrics) -> None:
    """Record for ever how much later than asked the loop woke us, and enter what was noted."""
    while True:
        due = monotonic() + INTERVAL_S
        await asyncio.sleep(INTERVAL_S)
        metrics.loop_lag(monotonic() - due)
        metrics.enter()
