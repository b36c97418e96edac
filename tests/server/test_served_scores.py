"""Scores from training to the monitor: a real service, its log, the store, and what is found."""

import asyncio
import io
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from features.eventlog import EventLog
from features.events import RECORD, TYPE_CODES, EventType
from features.ids import stable_hashes
from features.online.valkey_client import connect
from features.skew import served
from models.bundle import write_bundle
from models.model import Model
from models.ranker_features import RANKER_FEATURES
from models.reference.rows import HOUR_MS
from models.reference.sample import sample_rows
from models.reference.scores import SCORES
from models.registry import Registry
from monitoring.drift.journal import Journal
from monitoring.drift.metrics import DriftMetrics
from monitoring.drift.policy import parse_policy
from monitoring.drift.report import Report
from monitoring.drift.watch import Watch
from tests.support.bundles import small_parts
from tests.support.service import Client, Start, ask, event, send

POLICY = parse_policy("least_rows: 30", "test")
RANDOM = np.random.default_rng(5)
ITEMS, LISTS = 30, 50
PLAIN = np.eye(1, len(RANKER_FEATURES), dtype=np.float32)[0]
"""Of a ranker whose score is the inner product alone: the hour has no part in it."""


def _past(shoppers: int = 200, clicks: int = 3) -> EventLog:
    """Return shoppers who clicked on a few wines each, a minute ago."""
    records = np.zeros(shoppers * clicks, RECORD)
    names = np.array(stable_hashes(f"wine-{row:04d}" for row in range(ITEMS)))
    records["item"] = names[RANDOM.integers(0, ITEMS, len(records))]
    records["ts"] = int(time.time() * 1_000) - 60_000 + np.tile(np.arange(clicks), shoppers)
    records["tag"] = TYPE_CODES[EventType.CLICK]
    users = tuple(f"u{each}" for each in range(shoppers))
    return EventLog(users, np.arange(0, len(records) + 1, clicks), records, {})


def _promote(home: Path, served_as: float) -> None:
    """Promote a model whose ranker scores so many times what it did when it was trained."""
    log = _past()
    trained = small_parts(ITEMS, weights=PLAIN)
    reference = sample_rows(log, int(time.time() * 1_000), Model(trained))
    parts = replace(small_parts(ITEMS, weights=PLAIN * np.float32(served_as)), reference=reference)
    Registry(home).promote(write_bundle(home / "models", parts))


async def _served(service: Client, home: Path) -> None:
    """Let newcomers click twice, and ask after each click until so many lists were ranked."""
    ranked = number = 0
    while ranked < LISTS:
        for item in RANDOM.integers(0, ITEMS, 2).tolist():
            await send(service, event(f"new {number}", f"wine-{item:04d}"))
            ranked += (await ask(service, f"new {number}"))["source"] == "model"
        number += 1
    async with asyncio.timeout(10):
        while len(list(served.read(home, 0, 2**60))) < LISTS:
            await asyncio.sleep(0.02)


async def _states(home: Path, url: str) -> dict[str, str]:
    """Return what the monitor says when the hour has ended."""
    later_s = (time.time() * 1_000 // HOUR_MS + 1) * HOUR_MS / 1_000 + 120
    watch = Watch(
        home,
        POLICY,
        connect(url, connections=2),
        DriftMetrics(CollectorRegistry()),
        Journal(io.StringIO()),
        lambda: later_s,
    )
    await watch.step()
    await watch.close()
    report = Report.read(home)
    assert report is not None
    return {name: str(each.state) for name, each in report.findings.items()}


@pytest.mark.parametrize(("served_as", "state"), [(1.0, "quiet"), (2.5, "drifted")])
async def test_a_model_that_scores_otherwise_than_it_was_trained_is_named(
    start: Start,
    home: Path,
    redis_url: str,
    served_as: float,
    state: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that scores as ever is quiet."""
    monkeypatch.setattr("server.served_log.MOST_A_SECOND", 10**6)
    _promote(home, served_as)
    service: Client = await start(CUVEE_FEATURE_LOG_SHARE="1", CUVEE_CACHE_TTL_S="0")
    await _served(service, home)
    told = await _states(home, redis_url)
    assert {told[name] for name in SCORES} == {state}
