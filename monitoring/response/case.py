"""A rule that fires: what it is about, and what doing something about it looks like."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from monitoring.finding import Finding
from monitoring.response.cost import Cost, cost_of
from monitoring.response.policy import Policy, Rule

WHO = f"response@{socket.gethostname()}"
"""Who moves aliases here, for the history."""


@dataclass(frozen=True, slots=True)
class Case:
    """Findings that a rule is to act on, the worst first, at `at_s` (seconds since 1970)."""

    id: str
    rule: Rule
    findings: tuple[Finding, ...]
    policy: Policy
    at_s: float

    @property
    def lead(self) -> Finding:
        """Return the worst finding."""
        return self.findings[0]

    @property
    def why(self) -> str:
        """Return the reason, for the history."""
        return f"{self.rule.name}: {self.lead} [{self.id}]"

    @property
    def cost(self) -> Cost | None:
        """Return what the findings cost: the greatest, since one list is told of by several."""
        costs = [cost_of(each, self.policy.value) for each in self.findings]
        return max((each for each in costs if each is not None), key=_value, default=None)

    def told(self) -> dict[str, Any]:
        """Return it for the audit trail."""
        cost = self.cost
        return {
            "rule": self.rule.name,
            "findings": [each.told() for each in self.findings],
            "cost": None if cost is None else cost.told(),
        }


def worst_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return findings by severity, then by effect."""
    return tuple(sorted(findings, key=lambda each: (-each.severity.level, -each.effect)))


def _value(cost: Cost) -> float:
    return cost.value


class Doing(Protocol):
    """One action. Its methods raise `FeaturesError` or `OSError` where it fails."""

    async def refusal(self, case: Case) -> str | None:
        """Return why it makes no sense now, None where it does."""
        ...

    async def do(self, case: Case) -> str | None:
        """Do it and return what that led to, None where this is still to come."""
        ...
