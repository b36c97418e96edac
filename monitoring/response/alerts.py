"""Alerts of rules: opened, told anew where something changed or they stay, told as resolved.

What is told to whom stands in the state, so that after a restart nothing is told twice and
nothing is left out: each step every channel is brought to what it should know.
"""

import hashlib
from collections.abc import Iterator, Sequence

import orjson

from monitoring.finding import Severity
from monitoring.response.case import Case
from monitoring.response.delivery import Couriers, Delivered
from monitoring.response.message import RESOLVED, Message
from monitoring.response.policy import Deed, Policy
from monitoring.response.state import Alert, State

_MOST_ACTIONS = 20
_EXPIRES = 2.5
"""Times that an alert may be told again before Alertmanager takes it for over."""


def alert_of(case: Case, deed: Deed, actions: Sequence[str], before: Alert | None) -> Alert:
    """Return the alert of a case; it goes on from the one before, if that is open.

    What is worse than before is another alert: receivers route by severity.
    """
    others = len(case.findings) - 1
    cost = case.cost
    alert = Alert(
        id=case.id,
        decision=case.id,
        rule=case.rule.name,
        since_s=case.at_s,
        labels={
            "alertname": "CuveeResponse",
            "rule": case.rule.name,
            "kind": str(case.lead.kind),
            "severity": str(case.lead.severity),
        },
        summary=f"{case.rule.name}: {case.lead}" + (f" and {others} more" if others else ""),
        details={
            "model": case.lead.version,
            "told": [str(each) for each in case.findings],
            "findings": [each.told() for each in case.findings],
            "actions": list(actions),
            "cost": None if cost is None else cost.told(),
            "cost_told": None if cost is None else str(cost),
        },
        channels=list(case.policy.channels if deed.to is None else deed.to),
        digest="",
    )
    if before is not None and goes_on(before, case):
        alert.id, alert.since_s, alert.labels = before.id, before.since_s, before.labels
        alert.told = before.told
        alert.details["actions"] = _together(before.details["actions"], actions)
    alert.digest = _digest(alert)
    return alert


def goes_on(before: Alert, case: Case) -> bool:
    """Tell whether a case is what an alert tells of already, and no worse."""
    was = Severity(before.labels["severity"])
    return not before.is_resolved and case.lead.severity.level <= was.level


def are_alike(before: Alert, alert: Alert) -> bool:
    """Tell whether two say the same to the same."""
    return (before.id, before.digest, before.channels) == (alert.id, alert.digest, alert.channels)


def add_action(alert: Alert, action: str) -> None:
    """Let an alert tell of one more thing that was done."""
    alert.details = {
        **alert.details,
        "actions": _together(alert.details["actions"], [action]),
    }
    alert.digest = _digest(alert)


def resolve(alert: Alert) -> None:
    """Let an alert be over."""
    alert.is_resolved = True
    alert.digest = RESOLVED


def settle(state: State, policy: Policy, ended: list[Delivered], now_s: float) -> None:
    """Note what channels were told; forget alerts that are over once all know."""
    by_id = {alert.id: alert for alert in state.alerts.values()}
    for each in ended:
        alert = by_id.get(each.message.alert.id)
        if alert is not None:
            alert.told[each.channel] = (each.message.alert.digest, now_s)
    for rule, alert in list(state.alerts.items()):
        if alert.is_resolved and not any(_who_lacks(alert, policy, now_s)):
            del state.alerts[rule]


def send(state: State, policy: Policy, couriers: Couriers, now_s: float) -> None:
    """Send each channel that is free the first of what it should know and does not."""
    for alert in state.alerts.values():
        for name in _who_lacks(alert, policy, now_s):
            if not couriers.is_busy(name):
                message = Message(_copy(alert), now_s, now_s + _EXPIRES * policy.repeat_s)
                couriers.send(name, policy.channels[name], message)


def _who_lacks(alert: Alert, policy: Policy, now_s: float) -> Iterator[str]:
    """Yield the channels that should be told; of what is over only those that knew of it."""
    for name in alert.channels:
        digest, at_s = alert.told.get(name, ("", 0.0))
        if name not in policy.channels or (alert.is_resolved and not digest):
            continue
        is_old = not alert.is_resolved and abs(now_s - at_s) >= policy.repeat_s
        if digest != alert.digest or is_old:
            yield name


def _copy(alert: Alert) -> Alert:
    """Return an alert that stays as it is while it is carried."""
    return Alert(
        alert.id,
        alert.decision,
        alert.rule,
        alert.since_s,
        dict(alert.labels),
        alert.summary,
        alert.details,
        alert.channels,
        alert.digest,
        alert.is_resolved,
    )


def _together(before: Sequence[str], new: Sequence[str]) -> list[str]:
    """Return the last actions, each once."""
    return [*before, *(each for each in new if each not in before)][-_MOST_ACTIONS:]


def _digest(alert: Alert) -> str:
    """Return a name of what is worth telling again: what is found and done, not how much of it."""
    details = alert.details
    names = [
        [each["kind"], each["subject"], each.get("segment"), each["severity"]]
        for each in details["findings"]
    ]
    told = orjson.dumps([details["model"], sorted(map(str, names)), details["actions"]])
    return hashlib.blake2b(told, digest_size=6).hexdigest()
