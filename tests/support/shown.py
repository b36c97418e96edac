"""A home with all that the page can show: models that were moved, drift, performance."""

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from features.skew.served import FOLDER
from models.bundle import write_bundle
from models.reference.rows import HOUR_MS
from models.reference.sample import COUNTRY
from models.reference.stored import read_reference
from models.registry import Registry
from monitoring.drift.counts import Counts
from monitoring.drift.detector import Watched, judge
from monitoring.drift.policy import parse_policy
from monitoring.drift.reference import references_of
from monitoring.drift.report import Report
from monitoring.drift.served_lines import rows_of
from monitoring.finding import Severity
from monitoring.performance.judged import Judged
from monitoring.performance.moments import Figure
from monitoring.performance.states import State
from monitoring.performance.sums import Span
from monitoring.performance.verdict import Verdict
from tests.support.named import named_parts
from tests.support.watched import START_MS, WatchedShop

DRIFTED = "recent_spend"
WHY = ("first model", "better on October <b>by far</b>", "clicks fell by 4 % within an hour")

DAY_MS = 24 * HOUR_MS
WORSE = "ctr page=basket"
NOTE = "purchase: counts for no list, see CUVEE_OUTCOMES"


def make_home(home: Path) -> Path:
    """Fill a home, and return it."""
    move_models(home)
    find_drift(home)
    leave_performance(home)
    return home


def move_models(home: Path) -> tuple[str, str]:
    """Promote two models, and roll back to the first; return their versions."""
    registry, shop = Registry(home), WatchedShop(home)
    parts = replace(named_parts(), reference=shop._reference())
    first = write_bundle(registry.directory, parts)
    second = write_bundle(registry.directory, replace(parts, parameters={"seed": 8}))
    registry.promote(first, WHY[0], "anna@shop")
    registry.promote(second, WHY[1], "anna@shop")
    registry.rollback(WHY[2], "response@shop")
    return first, second


def find_drift(home: Path, hours: int = 4) -> Report:
    """Judge the last hours, in which one feature has moved, as the monitor does."""
    registry, shop, policy = Registry(home), WatchedShop(home), parse_policy("", "test")
    version = registry.resolve("production")
    rows = policy.watched(read_reference(registry.directory / version))
    references = references_of(rows, [COUNTRY])
    last = int(time.time() * 1_000) // HOUR_MS - 1
    windows = []
    for number in range(last - hours + 1, last + 1):
        lines = shop.serve(
            "shown", number * HOUR_MS + 60_000, shifts={DRIFTED: 0.8}, version=version
        )
        rows = rows_of(tuple(lines), version).rows
        windows.append([Counts.of(each.columns, rows) for each in references])
    (home / FOLDER / "shown.jsonl").unlink()
    watched = [
        Watched(each, group)
        for each, group in zip(references, zip(*windows, strict=True), strict=True)
    ]
    findings = judge(watched, policy.limits, {})
    report = Report.of(version, last, HOUR_MS, watched, findings)
    report.write(home)
    return report


def leave_performance(home: Path) -> Judged:
    """Leave what was judged of a model: fine, worse in a segment, too few lists, nothing before."""
    told = Judged("v2", "v1", START_MS, tuple(verdicts()), (NOTE,), (ONE_BIN,))
    told.write(home)
    return told


ONE_BIN = {"from": 0.0, "to": 0.1, "items": 5_000.0, "predicted": 400.0, "clicks": 380.0}


def verdicts() -> Iterator[Verdict]:
    """Yield a verdict of each kind."""
    week = Span(START_MS - 7 * DAY_MS, START_MS)
    ctr, before = Figure(0.081, 0.0036**2, 5_120, 900), Figure(0.083, 0.002**2, 20_000, 2_000)
    yield Verdict("ctr", None, State.FINE, 7, week, ctr, before, 4_800.0, 0.1, (-0.024, -0.1, 0.06))
    yield Verdict("conversion", None, State.INSUFFICIENT, 28, week, least_lists=math.inf)
    earned = Figure(0.41, 0.05**2, 5_120, 900)
    yield Verdict("revenue", None, State.NO_BASELINE, 28, week, earned)
    for page, state, severity in (
        ("basket", State.WORSE, Severity.HIGH),
        ("home", State.FINE, None),
    ):
        yield Verdict(
            "ctr",
            f"page={page}",
            state,
            7,
            week,
            replace(ctr, value=0.05),
            before,
            4_800.0,
            0.1,
            (-0.4, -0.5, -0.3),
            0.001,
            severity,
        )
