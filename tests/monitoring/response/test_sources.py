"""Findings of what is there: drift's report, what performance left, the age of the model."""

import time
from pathlib import Path

import pytest

from models.errors import ModelsError
from models.registry import Registry
from monitoring.drift.detector import Finding as DriftFinding
from monitoring.drift.detector import Limits, State
from monitoring.drift.report import Report, Told
from monitoring.finding import Kind, leave
from monitoring.outcomes.policy import policy_in_force
from monitoring.performance.judged import judged
from monitoring.performance.policy import parse_policy as performance_policy
from monitoring.response import streaks
from monitoring.response.parse import parse_policy
from monitoring.response.sources import (
    DAY_S,
    HOUR_S,
    LONGEST_S,
    DriftSource,
    PerformanceSource,
    StalenessSource,
    created_s,
)
from tests.support.found import START_S, found
from tests.support.judged_shop import NOW_MS, JudgedShop

POLICY = parse_policy("staleness: {after: 30d}", "x")
HOUR = round(START_S / 3_600)


@pytest.fixture
def version(served: tuple[str, str, str]) -> str:
    """Return the version of the model that serves."""
    return served[1]


def report(home: Path, version: str, **effects: tuple[State, float]) -> None:
    """Leave a report on drift."""
    columns = {
        name: Told(DriftFinding(name, state, 0.001, 0.001, effect, 4), ())
        for name, (state, effect) in effects.items()
    }
    Report(version, HOUR, 3_600_000, 300, columns).write(home)


async def test_what_has_drifted(tmp_path: Path, version: str) -> None:
    """By its effect and floor; what is quiet is no finding."""
    source = DriftSource(tmp_path, Limits(floors={"age": 0.5}), lambda: START_S)
    assert await source.findings(POLICY) is None
    report(
        tmp_path,
        version,
        spend=(State.DRIFTED, 0.4),
        age=(State.DRIFTED, 0.9),
        clicks=(State.SUSPECT, 0.3),
        carts=(State.QUIET, 0.0),
        stars=(State.INSUFFICIENT, 0.0),
    )
    told = {each.subject: each for each in await source.findings(POLICY) or []}
    assert {name: str(each.severity) for name, each in told.items()} == {
        "spend": "high",
        "age": "medium",
        "clicks": "low",
    }
    spend = told["spend"]
    assert (spend.value, spend.threshold, spend.effect) == (0.4, 0.05, 0.4)
    assert (spend.start_s, spend.end_s) == (START_S, START_S + 3_600)
    assert (spend.version, spend.at_s) == (version, START_S)


@pytest.mark.usefixtures("version")
async def test_a_report_on_another_model_says_nothing(tmp_path: Path) -> None:
    """It waits for one on the model that serves."""
    report(tmp_path, "v0", spend=(State.DRIFTED, 0.4))
    assert await DriftSource(tmp_path, Limits(), lambda: START_S).findings(POLICY) is None


async def test_a_window_without_rows_says_nothing(tmp_path: Path, version: str) -> None:
    """What had drifted still has: it is not known to be over."""
    told = Told(DriftFinding("spend", State.DRIFTED), ())
    Report(version, HOUR, 3_600_000, 0, {"spend": told}).write(tmp_path)
    assert await DriftSource(tmp_path, Limits(), lambda: START_S).findings(POLICY) is None


async def test_what_performance_left(tmp_path: Path, version: str) -> None:
    """Of the model that serves, until it should have been left anew."""
    now_s = time.time()
    source = PerformanceSource(tmp_path, lambda: now_s)
    assert await source.findings(POLICY) is None
    leave(tmp_path, Kind.PERFORMANCE, [])
    assert await source.findings(POLICY) == []
    leave(tmp_path, Kind.PERFORMANCE, [found(), found(version=version)])
    assert await source.findings(POLICY) == [found(version=version)]
    leave(tmp_path, Kind.PERFORMANCE, [found()])
    assert await source.findings(POLICY) is None
    leave(tmp_path, Kind.PERFORMANCE, [found(version=version)])
    now_s += LONGEST_S - HOUR_S
    assert await source.findings(POLICY) == [found(version=version)]
    now_s += 2 * HOUR_S
    assert await source.findings(POLICY) is None
    now_s -= 3 * LONGEST_S  # the clock that it was left by was ahead
    assert await source.findings(POLICY) is None


async def test_what_is_judged_comes_to_a_rule(tmp_path: Path) -> None:
    """From lists and clicks to what a rule acts on."""
    shop = JudgedShop(tmp_path)
    before, now = shop.promote(2)
    shop.serve(before, range(3, 5), 80, 0.8)
    shop.serve(now, range(2, 3), 80, 0.1)
    judging = performance_policy("metrics: {ctr: {effect: 0.3, high: 0.4}}", "x")
    judged(shop.store, judging, policy_in_force(), NOW_MS).write(tmp_path)
    policy = parse_policy(
        "rules: [{name: fell, on: performance, if: {severity: high, subject: ctr}, do: retrain}]",
        "x",
    )
    source = PerformanceSource(tmp_path, time.time)
    seen = {source.kind: await source.findings(policy)}
    told = streaks.follow({}, policy.rules[0], seen, None)
    assert {(each.subject, each.version) for each in told} == {("ctr", now)}


@pytest.mark.parametrize(
    ("days", "severity"), [(29, None), (31, "medium"), (59, "medium"), (61, "high")]
)
async def test_a_model_grows_old(
    tmp_path: Path, version: str, days: int, severity: str | None
) -> None:
    """From so many days on, and worse from twice as many."""
    now_s = created_s(Registry(tmp_path), version) + days * DAY_S
    told = await StalenessSource(tmp_path, lambda: now_s).findings(POLICY)
    assert [each.severity for each in told or []] == ([] if severity is None else [severity])
    for each in told or []:
        assert each.value == pytest.approx(days)
        assert each.threshold == 30
        assert each.end_s % 3_600 == 0
        assert each.version == version


async def test_without_a_model_nothing_is_old(tmp_path: Path) -> None:
    """It is said that there is none."""
    with pytest.raises(ModelsError, match="there is no production model"):
        await StalenessSource(tmp_path, lambda: START_S).findings(POLICY)
