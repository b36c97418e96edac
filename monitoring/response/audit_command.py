"""`python -m monitoring audit`: what was decided, why, and what it led to."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import click

from features.home import home_directory
from models.registry_commands import table
from monitoring.response.policy import Action
from monitoring.response.trail import Trail

_DEEDS = ("led_to", "took_s", "status", "tries")


@click.command("audit")
@click.option("--last", default=20, show_default=True, type=click.IntRange(1), help="How many.")
@click.option(
    "--action", type=click.Choice([str(each) for each in Action]), help="Of one action only."
)
@click.option("--rule", help="Of one rule only.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array, findings included.")
def audit_command(last: int, action: str | None, rule: str | None, as_json: bool) -> None:
    """Show what was decided about actions, why, and what that led to, newest first.

    Reads the audit trail that python -m monitoring run keeps under CUVEE_HOME.
    """
    decisions = [
        each
        for each in joined(Trail(home_directory()).lines())
        if action in {None, each["action"]} and rule in {None, each["rule"]}
    ]
    newest = decisions[: -last - 1 : -1]
    if as_json:
        click.echo(json.dumps(newest))
        return
    click.echo(table([_row(each) for each in newest], "nothing was decided yet"))


def joined(lines: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return decisions, the oldest first; `outcomes` of each are what it led to."""
    decisions: dict[str, dict[str, Any]] = {}
    for line in lines:
        identity = str(line.get("id"))
        if "decided" in line:
            before = decisions.get(identity, {}).get("outcomes", [])
            decisions[identity] = {**line, "outcomes": before}
        elif identity in decisions:
            outcome = {name: line[name] for name in ("at", *_DEEDS) if name in line}
            decisions[identity]["outcomes"].append(outcome)
    return list(decisions.values())


def _row(decision: Mapping[str, Any]) -> dict[str, object]:
    outcomes = [str(each["led_to"]) for each in decision["outcomes"]]
    cost = decision.get("cost")
    return {
        "at": f"{decision['at'][:19]}Z",
        "rule": decision["rule"],
        "action": decision["action"],
        "decided": decision["decided"],
        "why": decision["why"],
        "led to": "; ".join(dict.fromkeys(outcomes)) or "-",
        "cost a day": "-"
        if cost is None
        else f"{cost['low']:,.0f} to {cost['high']:,.0f} {cost['currency']}",
    }
