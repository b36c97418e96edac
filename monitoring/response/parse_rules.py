"""Rules from YAML: on which findings, if what holds, do what."""

from collections.abc import Mapping
from functools import partial

from features.errors import FieldError
from features.yaml_fields import as_choice
from models.rules.fields import Fields, number, seconds, text, whole
from monitoring.finding import Kind, Severity
from monitoring.response.parse_channels import names
from monitoring.response.policy import Action, Channel, Condition, Deed, Policy, Rule

_CONDITIONS = (
    "severity",
    "subject",
    "effect",
    "persists",
    "model_older_than",
    "model_younger_than",
)


def rule_of(fields: Fields, channels: Mapping[str, Channel]) -> Rule:
    """Return a rule; its alerts may go to `channels`."""
    conditions = fields.within("if", _CONDITIONS)
    subjects = conditions.get("subject", names, None)
    return Rule(
        name=fields.need("name", text, ""),
        kinds=fields.need("on", _kinds, frozenset()),
        condition=Condition(
            severity=conditions.get("severity", partial(as_choice, Severity), Severity.LOW),
            subjects=None if subjects is None else frozenset(subjects),
            effect=conditions.get("effect", partial(number, low=0, high=1e9), 0.0),
            persists=conditions.get("persists", partial(whole, low=1, high=1_000), 1),
            older_s=conditions.get("model_older_than", seconds, None),
            younger_s=conditions.get("model_younger_than", seconds, None),
        ),
        deeds=fields.need("do", partial(_deeds, channels=channels), ()),
    )


def _kinds(raw: object, where: str) -> frozenset[Kind]:
    return frozenset(as_choice(Kind, each, where) for each in names(raw, where))


def _deeds(raw: object, where: str, channels: Mapping[str, Channel]) -> tuple[Deed, ...]:
    deeds = raw if isinstance(raw, list) else [raw]
    if not deeds:
        raise FieldError(where, f"expected some of {', '.join(Action)}, got none")
    return tuple(_deed(each, f"{where}[{place}]", channels) for place, each in enumerate(deeds))


def _deed(raw: object, where: str, channels: Mapping[str, Channel]) -> Deed:
    if not isinstance(raw, dict):
        return Deed(as_choice(Action, raw, where))
    if set(raw) != {str(Action.ALERT)}:
        raise FieldError(where, f"expected an action, or alert: [channels], got {raw!r:.40}")
    to = names(raw[str(Action.ALERT)], f"{where}.alert")
    for name in to:
        _require_named(name, channels, f"{where}.alert")
    return Deed(Action.ALERT, to)


def _require_named(name: str, known: Mapping[str, object], where: str) -> None:
    """Raise `FieldError` for a name of nothing."""
    if name not in known:
        there = ", ".join(known) or "none"
        raise FieldError(where, f"expected one of the channels ({there}), got {name!r:.40}")


def check_rules(fields: Fields, policy: Policy) -> None:
    """Tell what rules ask for that is not declared."""
    told = [rule.name for rule in policy.rules]
    for place, rule in enumerate(policy.rules):
        if told.count(rule.name) > 1:
            fields.wrong(f"rules[{place}].name", f"expected names that differ, got {rule.name!r}")
        alerts = [deed for deed in rule.deeds if deed.action is Action.ALERT]
        if len(alerts) > 1:
            fields.wrong(f"rules[{place}].do", "expected one alert, with all of its channels")
        if alerts and not policy.channels:
            fields.wrong("channels", f"expected somewhere to alert: rule {rule.name!r} does")
    if policy.needs(Kind.FALLBACK_BURN) and not policy.burn.services:
        message = "expected where the services are, like http://127.0.0.1:8080: a rule asks"
        fields.wrong("fallback_burn.services", message)
