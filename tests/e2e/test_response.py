"""The loop, closed by real processes: a service, its monitor, and what that starts."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import pytest

from features.demo_shop.simulate import World, simulate
from features.offline.store import OfflineStore
from features.online.embedded import EmbeddedValkey
from models.bundle import write_bundle
from models.orders import Kept
from models.parts import LEARNT_UNTIL_MS, Parts
from models.reference.sample import sample_rows
from models.registry import Registry
from models.timeline import NOW
from models.training import learn, read
from tests.support.changed_world import change_world, log_what_is_served
from tests.support.failing import failing_parts
from tests.support.monitor import alertmanager, decisions, monitoring
from tests.support.process import PATIENCE_S, Service, free_port

FAILING = """
rules:
  - name: failing model
    on: fallback_burn
    if: {{severity: high, subject: model_error, model_younger_than: 1d}}
    do: [rollback, alert]
fallback_burn:
  services: {service}
  allowed: 0.05
  least_requests: 20
  fast: {{times: 4, long: 10s, short: 1s}}
channels:
  am: {{kind: alertmanager, url: "{alertmanager}"}}
  nobody: {{kind: webhook, url: "http://127.0.0.1:{nobody}"}}
"""

CHANGED = """
rules:
  - name: world changed
    on: drift
    if: {{severity: high}}
    do: [retrain, alert]
actions: {{retrain: {{mature: 0s}}}}
channels: {{am: {{kind: alertmanager, url: "{alertmanager}"}}}}
"""


def test_a_bad_model_is_rolled_back(home: Path, valkey: EmbeddedValkey) -> None:
    """It passes every check and fails for whoever bought; no request does, and it is soon gone.

    The monitor does so without a store, and while nobody listens to one of its channels.
    """
    registry = Registry(home)
    first, bad = registry.production(), write_bundle(home / "models", failing_parts())
    variables = {"CUVEE_REDIS_URL": valkey.url, "CUVEE_CACHE_TTL_S": "0"}
    with Service(home, **variables) as service, alertmanager() as (url, alerts):
        policy = FAILING.format(service=service.url, alertmanager=url, nobody=free_port())
        buy(service, [f"u{number}" for number in range(5)])
        nowhere = f"unix://{home}/nobody.sock"
        with monitoring(home, nowhere, policy) as monitor, shopping(service) as sources:
            service.until(lambda: "blind" in (home / "monitor.log").read_text())
            service.until(lambda: sources[-20:] == ["model"] * 20)
            registry.promote(bad)
            promoted_s = time.time()
            service.until(lambda: registry.production() == first)
            service.until(lambda: sources[-20:] == ["model"] * 20)
            took_s = time.time() - promoted_s
            service.until(lambda: bool(alerts))
    assert monitor.returncode == 0
    log = (home / "monitor.log").read_text()
    assert '"event":"blind"' in log
    assert "Traceback" not in log
    assert "model_error" in sources
    assert "failed" not in sources
    rolled_back = next(registry.history())
    assert (rolled_back.action, rolled_back.aliases.previous) == ("rollback", bad)
    (decision,) = [each for each in decisions(home, "rollback") if each["decided"] == "taken"]
    assert decision["findings"][0]["version"] == bad
    assert f"{first} serves again" in decision["outcomes"][0]["led_to"]
    assert alerts[0]["labels"]["rule"] == "failing model"
    assert f"rollback: {first} serves again" in alerts[0]["annotations"]["description"]
    print(f"a bad model was gone {took_s:.1f} s after it was promoted")  # noqa: T201 - the figure


@pytest.mark.slow
@pytest.mark.timeout(600)  # what trains is nice to whoever else is at work
def test_a_world_that_changes_is_learnt(tmp_path: Path, valkey: EmbeddedValkey) -> None:
    """Drift is noticed, a training runs beside, and its model serves since it is better."""
    world = World(8_000, 1, datetime(2026, 9, 1, tzinfo=UTC))
    simulate(OfflineStore(tmp_path), world)
    registry = Registry(tmp_path)
    first = registry.promote(write_bundle(tmp_path / "models", learnt(tmp_path)))
    change_world(tmp_path, world, 12_000)
    log_what_is_served(tmp_path, hours=3, rows=300)
    began_s = time.time()
    with alertmanager() as (url, alerts):
        policy = CHANGED.format(alertmanager=url)
        with monitoring(tmp_path, valkey.url, policy):
            eventually(lambda: registry.production() != first, tmp_path)
            took_s = time.time() - began_s
            eventually(lambda: "serves: no worse" in str(alerts), tmp_path)
    (decision,) = [each for each in decisions(tmp_path, "retrain") if each["decided"] == "taken"]
    second = registry.production()
    assert decision["findings"][0]["kind"] == "drift"
    assert decision["outcomes"][0]["led_to"].startswith(f"{second} serves: no worse")
    validation = registry.manifest("production").metrics["validation"]
    assert (validation["incumbent"], validation["low"] > 0) == (first, True)
    assert registry.manifest("production").parent == first
    record = next(registry.history())
    assert (record.action, record.aliases.previous) == ("promote", first)
    assert record.why.startswith("world changed: drift of ")
    print(f"a better model served {took_s:.1f} s after the world had changed")  # noqa: T201


def learnt(home: Path) -> Parts:
    """Return a model of the world as it is, without what `train` measures of it."""
    timeline = read(OfflineStore(home), 0)
    parts, _ = learn(timeline, NOW, Kept.CANDIDATES)
    until_ms = timeline.moment(NOW)
    told = {**parts.parameters, LEARNT_UNTIL_MS: until_ms}
    return replace(parts, reference=sample_rows(timeline.log, until_ms), parameters=told)


def buy(service: Service, users: list[str]) -> None:
    """Let each shopper buy something."""
    events = [
        {
            "event_id": f"bought by {user}",
            "type": "purchase",
            "user_id": user,
            "item_id": "wine-0001",
            "timestamp": time.time(),
            "value": 9.0,
        }
        for user in users
    ]
    assert service.post("/v1/events", {"events": events})[0] == 202


@contextmanager
def shopping(service: Service) -> Iterator[list[str]]:
    """Ask for the shoppers' lists again and again; give source or reason of each answer."""
    stop, sources = Event(), ["none"]

    def shop() -> None:
        number = 0
        while not stop.wait(0.01):
            number += 1
            try:
                answer = service.ask(f"u{number % 5}")
                sources.append(answer["reason"] or answer["source"])
            except (AssertionError, OSError):
                sources.append("failed")

    thread = Thread(target=shop)
    thread.start()
    try:
        yield sources
    finally:
        stop.set()
        thread.join()


def eventually(holds: Callable[[], bool], home: Path) -> None:
    """Wait until something holds, and fail with what the monitor said if it never does."""
    until = time.monotonic() + 3 * PATIENCE_S
    while not holds():
        assert time.monotonic() < until, (home / "monitor.log").read_text()
        time.sleep(0.05)
