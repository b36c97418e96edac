"""How much data is held back in the home's quarantine, told to Prometheus."""

import asyncio
from collections import Counter
from pathlib import Path

from features.quality.gates import Gate
from features.quality.held_names import held_names
from monitoring.metrics import Metrics

LOOK_S = 5.0


async def watch_quarantine(home: Path, metrics: Metrics) -> None:
    """Show for ever how much each gate holds back."""
    while True:
        names = await asyncio.to_thread(held_names, home)
        held = Counter(name.partition("-")[0] for name in names)
        metrics.data_held({gate: held[gate] for gate in Gate})
        await asyncio.sleep(LOOK_S)
