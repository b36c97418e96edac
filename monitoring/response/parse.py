"""A policy from YAML, checked as a whole: each mistake with its place, and what was expected.

rules:
  - name: failing model
    on: fallback_burn
    if: {severity: high, subject: [model_error], persists: 2}
    do: [rollback, alert]
"""

from collections.abc import Mapping
from functools import partial
from importlib import resources
from typing import Any

from features.errors import FieldError
from features.yaml_fields import as_choice, parse_yaml
from models.rules.fields import Fields, Mistakes, number, seconds, share, text, truth, whole
from monitoring.response.cost import Value
from monitoring.response.limits import LONGEST_S
from monitoring.response.parse_channels import channels_of, urls
from monitoring.response.parse_rules import check_rules, rule_of
from monitoring.response.policy import (
    Action,
    Burn,
    FallbackBurn,
    Limit,
    Policy,
    Raise,
    Retraining,
    Serve,
)

VARIABLE = "CUVEE_RESPONSE"

_OF_A_BURN = ("times", "long", "short")
_MOST = 10_000
_LIMITED = ("most", "per", "dry_run")
_OF_RETRAINING = ("margin", "mature", "serve", "longest", "niceness")


def parse_policy(told: str, name: str) -> Policy:
    """Return the policy that a YAML text declares; `name` stands before each mistake."""
    default = parse_yaml(_default(), "default.yaml")
    given = _with_on(parse_yaml(told, name))
    mistakes = Mistakes()
    if not isinstance(default, dict) or not isinstance(given, dict | None):
        raise FieldError(name, f"expected a mapping, got {given!r:.40}")
    fields = Fields(_over(default, given or {}), "", tuple(default), mistakes)
    policy = _policy(fields)
    mistakes.raise_any(name)
    return policy


def _default() -> str:
    return (resources.files("monitoring.response") / "default.yaml").read_text(encoding="utf-8")


def _with_on(told: object) -> object:
    """Return what is told, with `on` in rules: YAML 1.1 takes the word for true."""
    if not isinstance(told, dict) or not isinstance(told.get("rules"), list):
        return told
    rules = [
        {"on" if name is True else name: value for name, value in each.items()}
        if isinstance(each, dict)
        else each
        for each in told["rules"]
    ]
    return {**told, "rules": rules}


def _over(default: Mapping[str, Any], given: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return `given`, and of `default` what that does not say."""
    told: dict[Any, Any] = {**default, **given}
    for name, usual in default.items():
        raw = given.get(name)
        if isinstance(usual, dict) and usual and name in given:
            told[name] = usual if raw is None else raw
            if isinstance(raw, dict):
                told[name] = _over(usual, raw)
    return told


def _policy(fields: Fields) -> Policy:
    channels = channels_of(fields)
    actions = fields.within("actions", tuple(Action))
    retrain = actions.within(Action.RETRAIN, (*_LIMITED, *_OF_RETRAINING))
    fallback = actions.within(Action.FALLBACK, (*_LIMITED, "share", "up_to", "for"))
    alert = actions.within(Action.ALERT, (*_LIMITED, "repeat"))
    limited = {
        Action.ROLLBACK: actions.within(Action.ROLLBACK, _LIMITED),
        Action.RETRAIN: retrain,
        Action.FALLBACK: fallback,
        Action.ALERT: alert,
    }
    stale = fields.within("staleness", ("after",))
    rules = fields.each("rules", partial(rule_of, channels=channels), ("name", "on", "if", "do"))
    policy = Policy(
        dry_run=fields.get("dry_run", truth, False),
        rules=tuple(rules),
        limits={action: _limit(each) for action, each in limited.items()},
        overall=_limit(fields.within("overall", ("most", "per"))),
        dry=frozenset(each for each, told in limited.items() if told.get("dry_run", truth, False)),
        stale_s=stale.need("after", seconds, 1.0),
        burn=_fallback_burn(fields),
        retraining=_retraining(retrain),
        raising=_raising(fallback),
        repeat_s=alert.need("repeat", seconds, 1.0),
        channels=channels,
        value=_value(fields),
    )
    check_rules(fields, policy)
    return policy


def _limit(fields: Fields) -> Limit:
    most = fields.need("most", partial(whole, low=0, high=_MOST), 1)
    told = Limit(most, fields.need("per", seconds, 1.0))
    if told.per_s > LONGEST_S:
        fields.wrong("per", f"expected at most {LONGEST_S / 86_400:g}d")
    return told


def _retraining(fields: Fields) -> Retraining:
    return Retraining(
        margin=fields.need("margin", share, 0.0),
        mature_s=fields.need("mature", partial(seconds, least=0), 0.0),
        serve=fields.need("serve", partial(as_choice, Serve), Serve.BY_HAND),
        longest_s=fields.need("longest", seconds, 1.0),
        niceness=fields.need("niceness", partial(whole, low=0, high=19), 0),
    )


def _raising(fields: Fields) -> Raise:
    part = partial(number, low=0.001, high=1)
    told = Raise(
        fields.need("share", part, 1.0),
        fields.need("up_to", part, 1.0),
        fields.need("for", seconds, 1.0),
    )
    if told.share > told.up_to:
        fields.wrong("up_to", f"expected at least share, {told.share:g}, got {told.up_to:g}")
    return told


def _fallback_burn(fields: Fields) -> FallbackBurn:
    known = ("services", "allowed", "least_requests", "fast", "slow")
    told = fields.within("fallback_burn", known)
    return FallbackBurn(
        services=told.get("services", urls, ()),
        allowed=told.need("allowed", partial(number, low=1e-6, high=1), 1.0),
        least_requests=told.need("least_requests", partial(whole, low=1, high=10**9), 1),
        fast=_burn(told.within("fast", _OF_A_BURN)),
        slow=_burn(told.within("slow", _OF_A_BURN)),
    )


def _burn(fields: Fields) -> Burn:
    told = Burn(
        fields.need("times", partial(number, low=1, high=1e6), 1.0),
        fields.need("long", seconds, 1.0),
        fields.need("short", seconds, 1.0),
    )
    if told.short_s > told.long_s:
        fields.wrong("short", f"expected at most long, {told.long_s:g} s, got {told.short_s:g} s")
    return told


def _value(fields: Fields) -> Value | None:
    if dict(fields.items()).get("value") is None:
        return None
    told = fields.within("value", ("currency", "metrics", "lists_per_day"))
    raw = dict(told.items()).get("metrics")
    metrics = told.within("metrics", [str(each) for each in raw] if isinstance(raw, dict) else ())
    worth = partial(number, low=0, high=1e9)
    if not metrics.items():
        told.wrong("metrics", "expected what a conversion of each metric is worth, got none")
    return Value(
        told.need("currency", text, ""),
        {name: metrics.need(name, worth, 0.0) for name, _ in metrics.items()},
        told.get("lists_per_day", partial(number, low=0, high=1e12), None),
    )
