"""The responder: findings in, decisions out, each limited, recorded and told.

What breaks in between takes nothing else with it.
"""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from features.errors import StoreError
from models.registry import Registry
from monitoring.drift.journal import Journal
from monitoring.fallback_share import share_now
from monitoring.finding import Estimate, Finding, Kind, Severity
from monitoring.response.alert_desk import AlertDesk
from monitoring.response.audit_command import joined
from monitoring.response.case import Case
from monitoring.response.delivery import Couriers
from monitoring.response.ledger import Ledger
from monitoring.response.metrics import ResponseMetrics
from monitoring.response.policy import Action, Policy
from monitoring.response.policy_file import PolicyFile
from monitoring.response.raise_fallback import RaiseFallback
from monitoring.response.responder import Responder
from monitoring.response.retrain import Ended, Retrain
from monitoring.response.rollback import RollBack
from monitoring.response.state import FILE, State, Training
from monitoring.response.trail import Trail
from tests.support.found import START_S, found
from tests.support.limits import no_room
from tests.support.receivers import Receiver, listening

HOUR_S = 3_600.0
ROLLBACK = "rules: [{name: bad model, on: drift, do: [rollback, alert]}]"
FALLBACK = "rules: [{name: hold, on: drift, do: fallback}]"


class Said:
    """A source that says what it is told to."""

    def __init__(self, kind: Kind) -> None:
        """Know nothing."""
        self.kind = kind
        self.told: Sequence[Finding] | None = None
        self.error: Exception | None = None

    async def findings(self, _: Policy) -> Sequence[Finding] | None:
        """Say it."""
        if self.error is not None:
            raise self.error
        return self.told


class ToldTraining(Retrain):
    """A training that goes as it is told to."""

    ends: Ended | None = None

    def _start(self, training: Training, policy: Policy) -> None:
        """Start nothing."""

    async def look(self, policy: Policy) -> Ended | None:  # noqa: ARG002 - as it is called
        """Return what it is told to."""
        ended, self.ends = self.ends, None
        if ended is not None:
            self._state.training = None
        return ended


class Desk:
    """A home with two models, a responder, and whoever hears of it."""

    def __init__(self, home: Path, versions: tuple[str, str, str], hook: str) -> None:
        """Let nothing be declared yet; the second model serves."""
        self.home = home
        self.hook = hook
        self.registry = Registry(home)
        self.first, self.second, _ = versions
        self.now_s = START_S
        self.journal = io.StringIO()
        self.drift = Said(Kind.DRIFT)
        self.performance = Said(Kind.PERFORMANCE)
        self.file = home / "response.yaml"

    def declare(self, text: str) -> None:
        """Write the policy, and start as if for the first time."""
        channels = f"channels: {{hook: {{kind: webhook, url: '{self.hook}'}}}}"
        self.file.write_text(f"{text}\n{channels}\n")
        self.start()

    def start(self) -> None:
        """Forget the responder and start another, as if it had been killed."""
        self.metrics = CollectorRegistry()
        state, clock, journal = State.read(self.home), lambda: self.now_s, Journal(self.journal)
        self.retrain = ToldTraining(self.home, self.registry, state, clock)
        self.couriers = Couriers(lambda _: asyncio.sleep(0))
        metrics = ResponseMetrics(self.metrics)
        ledger = Ledger(self.home, metrics, journal, clock)
        self.responder = Responder(
            self.home,
            PolicyFile(self.file, journal),
            (self.drift, self.performance),
            {
                Action.ROLLBACK: RollBack(self.registry, clock),
                Action.RETRAIN: self.retrain,
                Action.FALLBACK: RaiseFallback(self.home, clock),
            },
            self.retrain,
            state,
            ledger,
            AlertDesk(state, ledger, self.couriers, metrics, journal, clock),
            metrics,
            journal,
            clock,
        )

    def find(self, window: int = 0, **fields: Any) -> Finding:
        """Return a finding of the model that serves."""
        return found(window, **{"version": self.second, **fields})

    async def step(self, *findings: Finding, after_s: float = 1.0) -> None:
        """Look once, so much later, and wait for what is told of it to arrive."""
        self.now_s += after_s
        self.drift.told = findings
        await self.look()

    async def look(self) -> None:
        """Look at what there is, until all who should know of it do."""
        await self.responder.step()
        async with asyncio.timeout(30):
            while tasks := list(self.couriers._under_way.values()):
                await asyncio.wait(tasks)
                await self.responder.step()

    def decisions(self, action: str | None = None) -> list[tuple[str, str]]:
        """Return what was decided about each action, as the audit trail says."""
        return [
            (each["action"], each["decided"])
            for each in self.audit()
            if action in {None, each["action"]}
        ]

    def audit(self) -> list[dict[str, Any]]:
        """Return the decisions, with what they led to."""
        return joined(Trail(self.home).lines())

    def value(self, name: str, **labels: str) -> float | None:
        """Return a metric."""
        return self.metrics.get_sample_value(name, labels)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return what the journal says of one kind."""
        lines = [json.loads(line) for line in self.journal.getvalue().splitlines()]
        return [each for each in lines if each["event"] == name]


@pytest.fixture
async def receiver() -> Receiver:
    """Return who hears of alerts."""
    return Receiver()


@pytest.fixture
async def desk(
    tmp_path: Path, served: tuple[str, str, str], receiver: Receiver
) -> AsyncIterator[Desk]:
    """Return a desk."""
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(listening(receiver.serve))
        desk = Desk(tmp_path, served, f"http://127.0.0.1:{port}")
        yield desk
        await desk.couriers.close()


def told(receiver: Receiver) -> list[dict[str, Any]]:
    """Return what a webhook was told."""
    return [json.loads(each.body) for each in receiver.requests]


async def test_a_bad_model_is_rolled_back_and_told(desk: Desk, receiver: Receiver) -> None:
    """What was decided, why, and what it led to stands in the trail; the alert says it, too."""
    desk.declare(ROLLBACK)
    await desk.step(desk.find())
    assert desk.registry.production() == desk.first
    rollback, alert = desk.audit()
    assert (rollback["rule"], rollback["action"], rollback["decided"]) == (
        "bad model",
        "rollback",
        "taken",
    )
    assert rollback["why"] == "drift of spend: 0.4, limit 0.05 (high)"
    assert rollback["findings"] == [desk.find().told()]
    assert rollback["outcomes"][0]["led_to"].startswith(f"{desk.first} serves again")
    assert [each["led_to"] for each in alert["outcomes"]] == ["hook: told"]
    (message,) = told(receiver)
    assert message["actions"][0].startswith(f"rollback: {desk.first} serves again")
    assert next(desk.registry.history()).why.endswith(f"[{rollback['id']}]")
    assert desk.value("cuvee_response_decisions_total", action="rollback", decision="taken") == 1
    told_or_not = [
        desk.value("cuvee_response_deliveries_total", channel="hook", result=result)
        for result in ("told", "given_up")
    ]
    assert told_or_not == [1, 0]


async def test_a_dry_run_does_nothing_and_says_what_it_would(
    desk: Desk, receiver: Receiver
) -> None:
    """As a whole, or of one action; nobody hears of what was not done."""
    desk.declare(f"{ROLLBACK}\ndry_run: true")
    for window in range(3):
        await desk.step(desk.find(window))
    assert desk.registry.production() == desk.second
    assert desk.decisions() == [
        ("rollback", "dry_run"),
        ("alert", "dry_run"),
        ("rollback", "limited"),
        ("alert", "dry_run"),
    ]
    assert receiver.requests == []
    desk.declare(f"{ROLLBACK}\nactions: {{rollback: {{dry_run: true}}}}")
    await desk.step(desk.find(3))
    assert desk.decisions()[-1] == ("alert", "taken")
    (message,) = told(receiver)
    assert "rollback: dry_run" in message["actions"]
    assert desk.registry.production() == desk.second


async def test_limits_outlive_the_responder(desk: Desk) -> None:
    """What was taken before a restart counts after it, if the state is lost, too."""
    desk.declare(f"{FALLBACK}\nactions: {{fallback: {{most: 2, per: 24h}}}}")
    for window in range(2):
        await desk.step(desk.find(window))
        desk.start()
    (desk.home / FILE).unlink()
    desk.start()
    await desk.step(desk.find(2))
    assert desk.decisions() == [("fallback", "taken")] * 2 + [("fallback", "limited")]
    assert desk.audit()[-1]["why"] == "fallback: 2 of 2 in 24 h"
    await desk.step(desk.find(3), after_s=24 * HOUR_S)
    assert desk.decisions()[-1] == ("fallback", "taken")


async def test_a_window_is_acted_on_once(desk: Desk) -> None:
    """However often it is looked at, and after a restart."""
    desk.declare(FALLBACK)
    for _ in range(3):
        await desk.step(desk.find())
        desk.start()
    assert desk.decisions() == [("fallback", "taken")]
    assert share_now(desk.home, desk.now_s) == 0.25


async def test_all_actions_together_have_a_limit(desk: Desk) -> None:
    """The worst is done first, as rules stand."""
    desk.declare(
        "rules: [{name: a, on: drift, do: [rollback, fallback]}]\noverall: {most: 1, per: 24h}"
    )
    await desk.step(desk.find())
    assert desk.decisions() == [("rollback", "taken"), ("fallback", "limited")]
    assert "all actions together: 1 of 1" in desk.audit()[-1]["why"]


async def test_what_makes_no_sense_is_refused_and_told_once_an_hour(desk: Desk) -> None:
    """Window after window the same refusal is no news."""
    desk.declare("rules: [{name: a, on: drift, do: rollback}]")
    for window in range(4):
        await desk.step(desk.find(window, version="v0"), after_s=HOUR_S / 2)
    refused = [each for each in desk.audit() if each["decided"] == "refused"]
    assert len(refused) == 2
    assert refused[0]["why"] == f"this was found of v0, and {desk.second} serves"
    assert desk.registry.production() == desk.second
    assert desk.value("cuvee_response_decisions_total", action="rollback", decision="refused") == 4


async def test_an_action_that_fails_is_told_and_keeps_no_other_from_being_done(
    desk: Desk, receiver: Receiver
) -> None:
    """Whatever it fails with."""
    desk.declare("rules: [{name: a, on: drift, do: [rollback, fallback, alert]}]")
    (desk.registry.directory / desk.first / "items.json").write_bytes(b"{}")

    class Broken(RaiseFallback):
        async def do(self, case: Case) -> str:
            raise RuntimeError(case.id)

    desk.responder._doings = {
        **desk.responder._doings,
        Action.FALLBACK: Broken(desk.home, lambda: desk.now_s),
    }
    await desk.step(desk.find())
    assert desk.registry.production() == desk.second
    led_to = desk.audit()[0]["outcomes"][0]["led_to"]
    assert led_to.startswith("failed: ")
    (message,) = told(receiver)
    assert message["actions"][0] == f"rollback: {led_to}"
    assert message["actions"][1].startswith("fallback: failed: RuntimeError")
    assert desk.value("cuvee_response_failures_total", action="rollback") == 1


async def test_alerts_are_told_once_again_when_they_change_and_when_they_are_over(
    desk: Desk, receiver: Receiver
) -> None:
    """Figures that move a little are no news; another feature is, and the end is."""
    desk.declare(ROLLBACK.replace("[rollback, alert]", "alert"))
    for window in range(3):
        await desk.step(desk.find(window, value=0.4 + window / 100))
    desk.start()
    await desk.step(desk.find(2))
    assert [each["status"] for each in told(receiver)] == ["firing"]
    await desk.step(desk.find(3), desk.find(3, subject="age"))
    await desk.step()
    messages = told(receiver)
    assert [each["status"] for each in messages] == ["firing", "firing", "resolved"]
    assert len({each["id"].partition(".")[0] for each in messages}) == 1
    assert messages[1]["summary"].endswith("and 1 more")
    assert [len(each["outcomes"]) for each in desk.audit()] == [1, 2]
    await desk.step(desk.find(9))
    assert told(receiver)[-1]["id"].partition(".")[0] != messages[0]["id"].partition(".")[0]
    assert desk.value("cuvee_response_alerts") == 1


async def test_an_alert_that_stays_is_told_again_now_and_then(
    desk: Desk, receiver: Receiver
) -> None:
    """By default every four hours; where nothing is known it stays, too."""
    desk.declare(ROLLBACK.replace("[rollback, alert]", "alert"))
    await desk.step(desk.find())
    await desk.step(desk.find(1), after_s=3 * HOUR_S)
    assert len(receiver.requests) == 1
    desk.drift.told = None
    desk.now_s += HOUR_S
    await desk.look()
    assert [each["status"] for each in told(receiver)] == ["firing"] * 2
    assert desk.value("cuvee_response_seeing", kind="drift") == 0


async def test_what_got_worse_is_another_alert(desk: Desk, receiver: Receiver) -> None:
    """Receivers route by severity: the lesser one is over, the greater one begins."""
    desk.declare(ROLLBACK.replace("[rollback, alert]", "alert"))
    await desk.step(desk.find(severity=Severity.MEDIUM))
    await desk.step(desk.find(1, severity=Severity.HIGH))
    await desk.step(desk.find(2, severity=Severity.MEDIUM))
    await desk.step()
    statuses = [(each["status"], each["labels"]["severity"]) for each in told(receiver)]
    assert sorted(statuses[1:3]) == [("firing", "high"), ("resolved", "medium")]
    assert statuses[0] == ("firing", "medium")
    assert statuses[-1] == ("resolved", "high")
    assert len(statuses) <= 5


async def test_alerts_have_a_limit(desk: Desk, receiver: Receiver) -> None:
    """What is over is told in any case."""
    desk.declare(
        ROLLBACK.replace("[rollback, alert]", "alert") + "\nactions: {alert: {most: 1, per: 1h}}"
    )
    await desk.step(desk.find())
    await desk.step(desk.find(1), desk.find(1, subject="age"))
    assert desk.decisions("alert") == [("alert", "taken"), ("alert", "limited")]
    await desk.step()
    assert [each["status"] for each in told(receiver)] == ["firing", "resolved"]


async def test_a_receiver_that_hangs_delays_nothing(desk: Desk) -> None:
    """Steps go on, other channels hear at once; that it was given up stands in the trail."""
    desk.declare(ROLLBACK)
    release = asyncio.Event()

    async def stuck(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await release.wait()

    async with listening(stuck) as port:
        other = f"channels: {{stuck: {{kind: webhook, url: 'http://127.0.0.1:{port}'}}, "
        desk.file.write_text(desk.file.read_text().replace("channels: {", other))
        desk.drift.told = [desk.find()]
        await desk.responder.step()
        assert desk.registry.production() == desk.first
        while desk.couriers.is_busy("hook"):
            await asyncio.sleep(0.01)
            await desk.responder.step()
        assert [each["led_to"] for each in desk.audit()[-1]["outcomes"]] == ["hook: told"]
        assert desk.couriers.is_busy("stuck")
        release.set()
        await desk.look()
    assert desk.audit()[-1]["outcomes"][-1]["led_to"].startswith("stuck: not told: ")
    result = {"channel": "stuck", "result": "given_up"}
    assert desk.value("cuvee_response_deliveries_total", **result) == 1


async def test_what_was_not_told_before_a_restart_is_told_after_it(
    desk: Desk, receiver: Receiver
) -> None:
    """And what was is not."""
    desk.declare(ROLLBACK)
    desk.drift.told = [desk.find()]
    await desk.responder.step()
    await desk.responder.close()
    before = len(receiver.requests)
    desk.start()
    await desk.look()
    assert len(receiver.requests) == before + 1
    desk.start()
    await desk.look()
    assert len(receiver.requests) == before + 1


async def test_a_full_disk_nothing_is_done_that_cannot_be_recorded(
    desk: Desk, receiver: Receiver
) -> None:
    """But somebody hears of it; with room again the next window is acted on."""
    desk.declare("rules: [{name: a, on: drift, do: [rollback, fallback, alert]}]")
    with no_room():
        await desk.step(desk.find())
    assert desk.registry.production() == desk.second
    assert share_now(desk.home, desk.now_s) == 0
    assert desk.decisions() == []
    assert desk.value("cuvee_response_recording") == 0
    (message,) = told(receiver)
    assert message["actions"] == [
        "rollback: refused: it cannot be recorded",
        "fallback: refused: it cannot be recorded",
    ]
    reasons = [each["what"] for each in desk.events("in the way")]
    assert sorted(reasons) == ["audit", "state"]
    await desk.step(desk.find(1))
    assert desk.decisions()[0] == ("rollback", "taken")
    assert desk.registry.production() == desk.first
    assert desk.value("cuvee_response_recording") == 1


async def test_a_broken_policy_changes_nothing(desk: Desk) -> None:
    """The last good one holds, which is told once; mended, it is followed."""
    desk.declare(FALLBACK)
    good = desk.file.read_text()
    await desk.step()
    desk.file.write_text(good.replace("do: fallback", "do: falback"))
    for window in range(2):
        await desk.step(desk.find(window))
    assert desk.decisions() == [("fallback", "taken")] * 2
    (event,) = desk.events("policy not used")
    assert "rules[0].do[0]: expected one of rollback" in event["reason"]
    assert desk.value("cuvee_response_policy_valid") == 0
    desk.file.unlink()
    await desk.step(desk.find(2))
    assert "cannot be read" in desk.events("policy not used")[-1]["reason"]
    desk.file.write_text(good.replace("do: fallback", "do: rollback"))
    await desk.step(desk.find(3))
    assert desk.decisions()[-1] == ("rollback", "taken")
    assert desk.value("cuvee_response_policy_valid") == 1


async def test_a_rule_that_is_taken_away_ends_its_alert(desk: Desk, receiver: Receiver) -> None:
    """Nobody waits for its end."""
    desk.declare(ROLLBACK)
    await desk.step(desk.find())
    desk.file.write_text(desk.file.read_text().replace("bad model", "other"))
    await desk.step()
    assert [each["status"] for each in told(receiver)] == ["firing", "resolved"]


@pytest.mark.parametrize("error", [StoreError("away"), OSError("disk"), RuntimeError("a defect")])
async def test_a_source_that_fails_hides_no_other(desk: Desk, error: Exception) -> None:
    """It is told once; findings of others are acted on."""
    desk.declare("rules: [{name: a, on: [drift, performance], do: fallback}]")
    desk.performance.error = error
    for window in range(2):
        await desk.step(desk.find(window))
    assert desk.decisions() == [("fallback", "taken")] * 2
    assert len([each for each in desk.events("in the way") if each["what"] == "performance"]) == 1
    desk.performance.error = None
    desk.performance.told = []
    await desk.step()
    assert [each["what"] for each in desk.events("mended")] == ["performance"]


async def test_persistence_and_the_age_of_the_model(desk: Desk) -> None:
    """As declared: three windows, and a model that is not new."""
    desk.declare(
        "rules:\n"
        "  - {name: a, on: drift, if: {persists: 3}, do: fallback}\n"
        "  - {name: b, on: drift, if: {model_older_than: 1d}, do: rollback}\n"
    )
    created = Registry(desk.home).manifest(desk.second).created
    desk.now_s = datetime.fromisoformat(created).timestamp()
    for window in range(3):
        await desk.step(desk.find(window))
        assert len(desk.decisions()) == (window == 2)
    await desk.step(desk.find(3), after_s=25 * HOUR_S)
    assert desk.decisions("rollback") == [("rollback", "taken")]


async def test_the_cost_stands_in_the_trail_and_the_alert(desk: Desk, receiver: Receiver) -> None:
    """As a range in money, and as a metric for as long as it is lost."""
    desk.declare(
        "rules: [{name: sales, on: performance, do: alert}]\n"
        "value: {currency: EUR, metrics: {conversion: 10}, lists_per_day: 1000}"
    )
    desk.performance.told = [
        desk.find(
            kind=Kind.PERFORMANCE,
            subject="conversion",
            live=Estimate(0.02, 0.01, 0.03),
            incumbent=Estimate(0.05, 0.04, 0.06),
        )
    ]
    await desk.step()
    (message,) = told(receiver)
    assert message["cost"] == {"value": 300.0, "low": 158.58, "high": 441.42, "currency": "EUR"}
    assert desk.audit()[0]["cost"] == message["cost"]
    cost = {"rule": "sales", "bound": "high"}
    assert desk.value("cuvee_response_cost_per_day", **cost) == pytest.approx(441.42, abs=0.01)
    desk.performance.told = []
    await desk.step()
    assert desk.value("cuvee_response_cost_per_day", **cost) is None


async def test_a_training_is_begun_and_its_end_told(desk: Desk, receiver: Receiver) -> None:
    """In the trail, under the decision that began it, and in the alert that is open."""
    desk.declare("rules: [{name: a, on: drift, do: [retrain, alert]}]")
    await desk.step(desk.find())
    assert desk.value("cuvee_response_retraining") == 1
    training = State.read(desk.home).training
    assert training is not None
    assert (training.incumbent, training.rule) == (desk.second, "a")
    desk.start()
    assert (await desk.retrain.refusal(_case(desk))) == f"a training is under way, {training.id}"
    desk.retrain.ends = Ended(training, "v9 is left as candidate: worse", is_good=False)
    await desk.step(desk.find())
    retrain, alert = desk.audit()
    assert [each["led_to"] for each in retrain["outcomes"]] == ["v9 is left as candidate: worse"]
    assert len(alert["outcomes"]) == 2
    first, second = told(receiver)
    assert first["actions"] == ["retrain: begun"]
    assert second["actions"] == ["retrain: begun", "retrain: v9 is left as candidate: worse"]
    assert desk.value("cuvee_response_retraining") == 0


def _case(desk: Desk) -> Case:
    policy = PolicyFile(desk.file, Journal(desk.journal)).follow()
    return Case("id", policy.rules[0], (desk.find(),), policy, desk.now_s)


async def test_what_a_kill_cut_short_is_said_to_be_unknown(desk: Desk) -> None:
    """The decision is in the trail, its end is not: it counts, and is told so, once."""
    desk.declare(FALLBACK)
    Trail(desk.home).add(
        START_S,
        {"id": "x", "action": "fallback", "decided": "taken", "rule": "hold", "why": "y"},
    )
    for _ in range(2):
        desk.start()
        await desk.step()
    (decision,) = desk.audit()
    told_of = [each["led_to"] for each in decision["outcomes"]]
    assert told_of == ["not known: the monitor ended meanwhile"]


async def test_without_findings_nothing_happens(desk: Desk, receiver: Receiver) -> None:
    """No line, no message, no state that changes."""
    desk.declare(ROLLBACK)
    for _ in range(3):
        await desk.step()
    assert desk.audit() == []
    assert receiver.requests == []
