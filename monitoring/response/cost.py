"""What a worse model costs, as a range in money: (incumbent - live) × lists a day × value.

The interval of the difference is made of both intervals by the method of variance estimates
recovery (MOVER; Zou and Donner, Statistics in Medicine 2008), which keeps them lopsided where
they are. Traffic and the value of a conversion are taken as they are told.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

from monitoring.finding import Estimate, Finding


@dataclass(frozen=True, slots=True)
class Value:
    """What a list earns: money for each conversion; of revenue each unit is worth itself.

    `metrics` names the metrics that money can be told of, and what one of each is worth in
    `currency`. `lists_per_day` stands in where a finding does not tell its traffic.
    """

    currency: str
    metrics: dict[str, float]
    lists_per_day: float | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """Money lost a day, with 95 % confidence from `low` to `high`; below 0 it is gained."""

    value: float
    low: float
    high: float
    currency: str

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.low:,.0f} to {self.high:,.0f} {self.currency} a day"

    def told(self) -> dict[str, Any]:
        """Return it, JSON-able, in cents."""
        return {
            name: round(value, 2) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def difference(one: Estimate, other: Estimate) -> Estimate:
    """Return `one` less `other`, of which neither tells anything of the other."""
    value = one.value - other.value
    low = value - math.hypot(one.value - one.low, other.high - other.value)
    high = value + math.hypot(one.high - one.value, other.value - other.low)
    return Estimate(value, low, high)


def cost_per_day(
    incumbent: Estimate, live: Estimate, lists_per_day: float, value: float, currency: str
) -> Cost:
    """Return what it costs that `live` serves, both being conversions or money for each list."""
    lost = difference(incumbent, live)
    scale = lists_per_day * value
    return Cost(lost.value * scale, lost.low * scale, lost.high * scale, currency)


def cost_of(finding: Finding, value: Value | None) -> Cost | None:
    """Return what a finding costs, None where it says nothing of money, or its value is unknown."""
    if value is None or finding.live is None or finding.incumbent is None:
        return None
    worth, lists = value.metrics.get(finding.subject), finding.lists_per_day or value.lists_per_day
    if worth is None or lists is None:
        return None
    return cost_per_day(finding.incumbent, finding.live, lists, worth, value.currency)
