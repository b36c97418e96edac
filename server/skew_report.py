"""The latest report of `python -m features skew`, told to Prometheus as soon as it is there."""

import asyncio
import json
from pathlib import Path
from typing import Any

from monitoring.metrics import Metrics

LOOK_S = 5.0


async def follow_skew(path: Path, metrics: Metrics) -> None:
    """Show for ever what the report at `path` says; one that cannot be read changes nothing."""
    seen = b""
    while True:
        report = await asyncio.to_thread(_read, path)
        if report != seen:
            seen = report
            metrics.feature_skew(_ratios(report))
        await asyncio.sleep(LOOK_S)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # there is none yet
        return b""


def _ratios(report: bytes) -> dict[str, float]:
    try:
        told: Any = json.loads(report)
        return {str(name): float(ratio) for name, ratio in told["ratios"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):  # none of ours
        return {}
