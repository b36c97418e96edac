"""What is held back is told to Prometheus."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from features.quality.held_names import REPORT
from monitoring.metrics import Metrics
from server.quarantine_watch import watch_quarantine


async def test_what_is_held_back_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By gate; what is being thrown away and what has no report is not."""
    monkeypatch.setattr("server.quarantine_watch.LOOK_S", 0.01)
    registry = CollectorRegistry()
    watching = asyncio.ensure_future(watch_quarantine(tmp_path, Metrics(registry)))
    for name in ("ingest-1", "ingest-2", "materialize", ".discarded-3"):
        folder = tmp_path / "quarantine" / name
        folder.mkdir(parents=True)
        (folder / REPORT).write_text("{}")
    (tmp_path / "quarantine" / "ingest-4").mkdir()

    def held(gate: str) -> float | None:
        return registry.get_sample_value("cuvee_data_held", {"gate": gate})

    async with asyncio.timeout(10):
        while (held("ingest"), held("materialize")) != (2, 1):
            await asyncio.sleep(0.01)
    watching.cancel()
