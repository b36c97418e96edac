"""A model on trial in a service of several processes, one of which dies in the middle."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from features.ids import stable_hash
from features.online.embedded import EmbeddedValkey
from models import canary_counts as counted
from models.bundle import write_bundle
from models.canary import Assignment, Canary
from models.registry import Registry
from tests.support.bundles import small_parts
from tests.support.process import Service

ROLLOUT = """
steps: [0.4, 0.5, 0.6]
least_requests: 60
least_s: 0
alpha: 0.05
shadow: {requests: 50, share: 1, cpu_share: 1}
guardrails: {errors: 0.2, fallbacks: 0.2, empty: 0.2, latency_ms: 60000, clicks: 0.5}
"""
LATE = {"deadline", "feature_timeout", "overload"}
"""Why a busy machine may answer some from below the model."""


def shoppers(has: Callable[[int], bool], count: int) -> list[str]:
    """Return shoppers of whom it holds."""
    names = (f"u{number}" for number in range(1_000_000))
    found = (name for name in names if has(stable_hash(name)))
    return [next(found) for _ in range(count)]


@pytest.mark.slow
def test_the_same_shoppers_whichever_worker_dies(home: Path, valkey: EmbeddedValkey) -> None:
    """Nobody is moved between models by a new worker; no request fails; all served at the end."""
    path = home / "rollout.yaml"
    path.write_text(ROLLOUT)
    registry = Registry(home)
    first, second = registry.production(), write_bundle(home / "models", small_parts(31))
    half = Canary.begun(second, 1, 0.5, automatic=False)
    has = Assignment(half).has
    inside = shoppers(has, 10)
    outside = shoppers(lambda shopper: not has(shopper), 10)
    variables = {
        "CUVEE_WORKERS": "2",
        "CUVEE_REDIS_URL": valkey.url,
        "CUVEE_CACHE_TTL_S": "0",
        "CUVEE_ROLLOUT": str(path),
    }
    with Service(home, **variables) as service:
        click(service, inside + outside)
        registry.start_canary(half)

        def divides() -> bool:
            served = [{service.ask(user)["model_version"] for user in them * 3} for them in arms]
            return served == [{second}, {first}]

        arms = (inside, outside)
        service.until(divides)
        killed = min(service.workers())
        os.kill(killed, signal.SIGKILL)
        service.until(lambda: killed not in service.workers() and len(service.workers()) == 2)
        service.until(divides)
        for _ in range(3):  # connections go to either worker
            assert divides()
        seen = counted.read_counts(home, half)
        assert all(seen.total(arm, counted.REQUESTS) > 100 for arm in range(2))
        registry.move_canary(half, None)
        to_everybody(service, registry, second)


def to_everybody(service: Service, registry: Registry, version: str) -> None:
    """Let a trial go all the way by itself, under load."""
    canary = Canary.begun(version, 0, 0.0, automatic=True)
    users = [f"u{number}" for number in range(40)]
    click(service, users)
    registry.start_canary(canary)
    stop, answers, failures = Event(), list[dict[str, Any]](), list[Exception]()

    def shop() -> None:
        while not stop.is_set():
            for user in users:
                try:
                    answers.append(service.ask(user))
                except (AssertionError, OSError) as error:
                    failures.append(error)

    threads = [Thread(target=shop) for _ in range(3)]
    for each in threads:
        each.start()
    try:
        service.until(lambda: registry.production() == version)
    finally:
        stop.set()
        for each in threads:
            each.join()
    in_time = [answer for answer in answers if answer["reason"] not in LATE]
    assert (failures, {answer["source"] for answer in in_time}) == ([], {"model"})
    actions = [each.action for each in registry.history()][:5]
    assert actions == ["promote", *["canary"] * 4]


def click(service: Service, users: list[str]) -> None:
    """Let each shopper click on something."""
    events = [
        {
            "event_id": f"{user} {os.urandom(8).hex()}",
            "type": "click",
            "user_id": user,
            "item_id": "wine-0001",
            "timestamp": 1_760_000_000,
        }
        for user in users
    ]
    assert service.post("/v1/events", {"events": events})[0] == 202
