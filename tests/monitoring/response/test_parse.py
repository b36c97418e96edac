"""A policy: what a file says, what it need not say, and what it may not."""

import json
from io import StringIO
from pathlib import Path

import pytest

from features.errors import InputError
from monitoring.drift.journal import Journal
from monitoring.finding import Kind, Severity
from monitoring.response.parse import parse_policy
from monitoring.response.policy import (
    Action,
    Alertmanager,
    Condition,
    Deed,
    Limit,
    Mail,
    Rule,
    Serve,
    Webhook,
)
from monitoring.response.policy_file import PolicyFile
from tests.support.found import found

WHOLE = """
rules:
  - name: failing model
    on: [fallback_burn, performance]
    if: {severity: high, subject: model_error, persists: 2, effect: 0.5, model_younger_than: 2d}
    do: [rollback, {alert: pager}]
  - name: world changed
    on: drift
    if: {severity: medium, persists: 3, model_older_than: 1d}
    do: [retrain, fallback, alert]
overall: {most: 2, per: 12h}
actions:
  rollback: {most: 2}
  retrain: {serve: canary, dry_run: true}
fallback_burn: {services: http://127.0.0.1:8080/, fast: {short: 30s}}
channels:
  am: {kind: alertmanager, url: "http://am:9093/"}
  pager: {kind: webhook, url: "https://example.org/hook?x=1", secret_env: CUVEE_RESPONSE_SECRET}
  ops: {kind: mail, host: mail.example.org, from: cuvee@example.org, to: [ops@example.org]}
value: {currency: EUR, metrics: {conversion: 12.5, revenue: 1}, lists_per_day: 20000}
"""


def test_a_whole_policy() -> None:
    """Every field arrives, and what is not said is as it is by default."""
    told = parse_policy(WHOLE, "response.yaml")
    first, second = told.rules
    assert first == Rule(
        "failing model",
        frozenset({Kind.FALLBACK_BURN, Kind.PERFORMANCE}),
        Condition(Severity.HIGH, frozenset({"model_error"}), 0.5, 2, None, 2 * 86_400.0),
        (Deed(Action.ROLLBACK), Deed(Action.ALERT, ("pager",))),
    )
    assert second.condition.older_s == 86_400
    assert [each.action for each in second.deeds] == ["retrain", "fallback", "alert"]
    assert told.overall == Limit(2, 43_200)
    assert told.limits[Action.ROLLBACK] == Limit(2, 86_400)
    assert (told.retraining.serve, told.retraining.margin) == (Serve.CANARY, 0.02)
    assert (told.is_dry(Action.RETRAIN), told.is_dry(Action.ROLLBACK)) == (True, False)
    assert told.burn.services == ("http://127.0.0.1:8080",)
    assert (told.burn.fast.short_s, told.burn.fast.long_s) == (30, 300)
    assert told.channels["am"] == Alertmanager("http://am:9093")
    assert told.channels["pager"] == Webhook(
        "https://example.org/hook?x=1", "CUVEE_RESPONSE_SECRET"
    )
    mail = told.channels["ops"]
    assert isinstance(mail, Mail)
    assert (mail.port, mail.starttls, mail.to) == (587, True, ("ops@example.org",))
    assert told.value is not None
    assert told.value.metrics == {"conversion": 12.5, "revenue": 1}


def test_nothing_is_done_by_default() -> None:
    """An empty file has no rules; a dry run is about everything."""
    told = parse_policy("", "empty.yaml")
    assert (told.rules, told.dry_run, told.value, dict(told.channels)) == ((), False, None, {})
    dry = parse_policy("dry_run: true", "x")
    assert all(dry.is_dry(each) for each in Action)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[1]", "expected a mapping"),
        ("rule: []", "rule: there is no 'rule'; did you mean 'rules'?"),
        ("rules: 3", "rules: expected a list of mappings, got 3"),
        ("rules: [{on: drift, do: alert}]", "rules[0].name: required"),
        ("rules: [{name: a, do: rollback}]", "rules[0].on: required"),
        ("rules: [{name: a, on: drift}]", "rules[0].do: required"),
        ("rules: [{name: a, on: rain, do: rollback}]", "rules[0].on: expected one of drift, "),
        ("rules: [{name: a, on: drift, do: pray}]", "rules[0].do[0]: expected one of rollback, "),
        ("rules: [{name: a, on: drift, do: []}]", "rules[0].do: expected some of rollback"),
        (
            "rules: [{name: a, on: drift, if: {severity: bad}, do: rollback}]",
            "rules[0].if.severity: expected one of low, medium, high; got 'bad'",
        ),
        (
            "rules: [{name: a, on: drift, if: {persists: 0}, do: rollback}]",
            "rules[0].if.persists: expected a whole number from 1 to 1000, got 0",
        ),
        (
            "rules: [{name: a, on: drift, if: {model_older_than: 3}, do: rollback}]",
            "rules[0].if.model_older_than: expected a time like 30m, 12h or 7d, got 3",
        ),
        (
            "rules: [{name: a, on: drift, if: {efect: 3}, do: rollback}]",
            "rules[0].if.efect: there is no 'efect'; did you mean 'effect'?",
        ),
        ("rules: [{name: a, on: drift, do: alert}]", "channels: expected somewhere to alert"),
        (
            "rules: [{name: a, on: drift, do: [{alert: b}, {alert: b}]}]\nchannels: {b: {}}",
            "rules[0].do: expected one alert, with all of its channels",
        ),
        (
            "rules: [{name: a, on: drift, do: {alert: b}}]",
            "rules[0].do[0].alert: expected one of the channels (none), got 'b'",
        ),
        (
            "rules: [{name: a, on: drift, do: retrain}, {name: a, on: drift, do: retrain}]",
            "rules[1].name: expected names that differ, got 'a'",
        ),
        (
            "rules: [{name: a, on: fallback_burn, do: rollback}]",
            "fallback_burn.services: expected where the services are",
        ),
        ("actions: {rollback: {per: often}}", "actions.rollback.per: expected a time like 30m"),
        ("actions: {rollback: {per: 90d}}", "actions.rollback.per: expected at most 60d"),
        ("actions: {rollback: {most: 1.5}}", "actions.rollback.most: expected a whole number"),
        ("actions: {roll_back: {}}", "actions.roll_back: there is no 'roll_back'"),
        ("actions: 7", "actions: expected a mapping, got 7"),
        (
            "actions: {fallback: {share: 0.6}}",
            "actions.fallback.up_to: expected at least share, 0.6, got 0.5",
        ),
        ("actions: {retrain: {margin: 2}}", "actions.retrain.margin: expected a number from 0"),
        ("actions: {retrain: {serve: now}}", "actions.retrain.serve: expected one of at_once"),
        ("staleness: {after: 0d}", "staleness.after: expected a time"),
        ("fallback_burn: {services: [ftp://x]}", "fallback_burn.services: expected a URL"),
        (
            "fallback_burn: {slow: {long: 1m}}",
            "fallback_burn.slow.short: expected at most long, 60 s, got 300 s",
        ),
        ("channels: {a: {url: http://x}}", "channels.a.kind: required"),
        ("channels: {a: {kind: pigeon}}", "channels.a.kind: expected one of alertmanager"),
        ("channels: {a: {kind: webhook, url: x y}}", "channels.a.url: expected a URL"),
        (
            "channels: {a: {kind: webhook, url: http://x, host: y}}",
            "channels.a.host: a channel of kind webhook has url, secret_env",
        ),
        (
            "channels: {a: {kind: mail, host: h, from: me, to: [you@x]}}",
            "channels.a.from: expected an address like ops@example.org, got 'me'",
        ),
        ("value: {currency: EUR}", "value.metrics: expected what a conversion"),
        ("value: {metrics: {a: -1}, currency: EUR}", "value.metrics.a: expected a number from 0"),
        ("dry_run: perhaps", "dry_run: expected true or false, got 'perhaps'"),
        ("a: [", "not YAML"),
    ],
)
def test_mistakes_are_told_by_field(text: str, told: str) -> None:
    """With their value and what was expected."""
    with pytest.raises(InputError) as raised:
        parse_policy(text, "response.yaml")
    assert told in str(raised.value)
    assert all(line.startswith("response.yaml: ") for line in str(raised.value).splitlines())


def test_all_mistakes_are_told_at_once() -> None:
    """A line each."""
    with pytest.raises(InputError) as raised:
        parse_policy("dry_run: 1\nstaleness: {after: x}\noverall: {most: -1}", "r.yaml")
    assert len(str(raised.value).splitlines()) == 3


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Is told by name."""
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read"):
        PolicyFile(tmp_path / "none.yaml", Journal())


def test_a_channel_without_its_secret_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start, and once its file was edited; not one whose variable is set."""
    monkeypatch.setenv("SET", "a secret")
    monkeypatch.delenv("UNSET", raising=False)
    hook = "{kind: webhook, url: 'http://127.0.0.1:1', secret_env: %s}"
    mail = "{kind: mail, host: h, from: a@b.org, to: [c@d.org], user: u, password_env: %s}"
    plain = "{kind: webhook, url: 'http://127.0.0.1:1'}"
    path, out = tmp_path / "response.yaml", StringIO()
    path.write_text(f"channels: {{a: {hook % 'UNSET'}, b: {hook % 'SET'}, c: {plain}}}")

    file = PolicyFile(path, Journal(out))
    path.write_text(f"channels: {{a: {hook % 'SET'}, d: {mail % 'UNSET'}}}")
    file.follow()

    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    told = [(each["channel"], each["unset"]) for each in lines if "unset" in each]
    assert told == [("a", "UNSET"), ("d", "UNSET")]
    assert {each["event"] for each in lines if "unset" in each} == {"channel cannot tell"}


@pytest.mark.parametrize(
    ("condition", "age_s", "fits"),
    [
        (Condition(), None, True),
        (Condition(Severity.HIGH), None, True),
        (Condition(effect=0.5), None, False),
        (Condition(subjects=frozenset({"age"})), None, False),
        (Condition(subjects=frozenset({"age", "spend"})), None, True),
        (Condition(older_s=10), 9, False),
        (Condition(older_s=10), 10, True),
        (Condition(younger_s=10), 11, False),
        (Condition(younger_s=10), None, False),
    ],
)
def test_conditions(condition: Condition, age_s: float | None, fits: bool) -> None:
    """Each asks for what it names; an age that is not known fits none that asks for one."""
    assert condition.fits(found(), age_s) is fits
    assert not Condition(Severity.HIGH).fits(found(severity=Severity.MEDIUM), None)
