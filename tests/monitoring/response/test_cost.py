"""What a worse model costs: a range, from two intervals that know nothing of one another."""

import numpy as np
import pytest

from monitoring.finding import Estimate, Finding, Kind, Severity
from monitoring.response.cost import Value, cost_of, cost_per_day, difference
from tests.support.found import found


def test_the_difference_is_as_wide_as_both_together() -> None:
    """Half-widths add up in squares (Zou and Donner 2008); equal ones give the usual interval."""
    told = difference(Estimate(0.10, 0.07, 0.13), Estimate(0.08, 0.04, 0.12))
    assert (told.value, told.low, told.high) == pytest.approx((0.02, -0.03, 0.07))


def test_lopsided_intervals_stay_lopsided() -> None:
    """Each end is made of those that it can come from."""
    told = difference(Estimate(0.10, 0.10, 0.20), Estimate(0.05, 0.05, 0.08))
    assert (told.low, told.high) == pytest.approx((0.02, 0.15))
    same = Estimate(0.3, 0.2, 0.5)
    assert difference(same, same).value == 0


def test_it_holds_what_is_true_as_often_as_it_says() -> None:
    """Of two shares, each with its own interval, 95 times of a hundred."""
    random = np.random.default_rng(5)
    lists, shares, times = 4_000, (0.06, 0.045), 2_000
    drawn = random.binomial(lists, shares, (times, 2)) / lists
    half = 1.96 * np.sqrt(drawn * (1 - drawn) / lists)
    within = 0
    for (one, other), (half_one, half_other) in zip(drawn.tolist(), half.tolist(), strict=True):
        cost = cost_per_day(
            Estimate(one, one - half_one, one + half_one),
            Estimate(other, other - half_other, other + half_other),
            10_000,
            20.0,
            "EUR",
        )
        within += cost.low <= (0.06 - 0.045) * 10_000 * 20 <= cost.high
    assert within / times == pytest.approx(0.95, abs=0.015)


def test_money_is_told_of_findings_that_can_be_valued() -> None:
    """By the value of a conversion and the traffic, the finding's or the declared one."""
    live, incumbent = Estimate(0.02, 0.01, 0.03), Estimate(0.05, 0.04, 0.06)
    finding = found(kind=Kind.PERFORMANCE, subject="conversion", live=live, incumbent=incumbent)
    value = Value("EUR", {"conversion": 10.0, "revenue": 1.0}, 1_000)
    cost = cost_of(finding, value)
    assert cost is not None
    assert cost.value == pytest.approx(300)
    assert (cost.low, cost.high) == pytest.approx((300 - 141.42, 300 + 141.42), abs=0.01)
    assert str(cost) == "159 to 441 EUR a day"
    assert cost.told() == {"value": 300.0, "low": 158.58, "high": 441.42, "currency": "EUR"}
    more = found(
        kind=Kind.PERFORMANCE,
        subject="conversion",
        live=live,
        incumbent=incumbent,
        lists_per_day=2_000,
    )
    doubled = cost_of(more, value)
    assert doubled is not None
    assert doubled.value == pytest.approx(600)


@pytest.mark.parametrize(
    ("finding", "value"),
    [
        (found(), Value("EUR", {"spend": 1.0}, 100)),
        (found(live=Estimate(1, 1, 1)), Value("EUR", {"spend": 1.0}, 100)),
        (
            found(live=Estimate(1, 1, 1), incumbent=Estimate(2, 2, 2)),
            Value("EUR", {"other": 1.0}, 100),
        ),
        (found(live=Estimate(1, 1, 1), incumbent=Estimate(2, 2, 2)), Value("EUR", {"spend": 1.0})),
        (found(live=Estimate(1, 1, 1), incumbent=Estimate(2, 2, 2)), None),
    ],
)
def test_what_is_not_known_costs_nothing_that_is_told(
    finding: Finding, value: Value | None
) -> None:
    """Without figures, a value or traffic there is no number to believe."""
    assert cost_of(finding, value) is None
    assert finding.severity is Severity.HIGH
