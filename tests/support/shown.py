"""A home with all that the page can show: models that were moved, drift, performance."""

import time
from dataclasses import replace
from pathlib import Path

import orjson

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
from tests.support.named import named_parts
from tests.support.watched import START_MS, WatchedShop

DRIFTED = "recent_spend"
WHY = ("first model", "better on October <b>by far</b>", "clicks fell by 4 % within an hour")

PERFORMANCE = {
    "window_days": 7,
    "matured_until": "2025-10-05",
    "at_ms": START_MS,
    "clicks": {"value": 0.081, "low": 0.074, "high": 0.088, "n": 5_120, "state": "kept"},
    "conversion": {"value": 0.0114, "low": 0.0089, "high": 0.0142, "n": 5_120, "state": "kept"},
    "scores": [{"from": 0.0, "to": 0.1, "items": 5_000, "clicks": 380}],
    "revenue": {"estimate": 0.41, "interval": [0.33, 0.52], "unit": "EUR a list"},
    "segments": [
        {"segment": "type=Red", "value": 0.093, "low": 0.081, "high": 0.106},
        {"segment": "type=White", "value": 0.062, "low": 0.049, "high": 0.077, "state": "worse"},
        {"segment": "type=Sparkling", "state": "insufficient", "severity": None, "days": 7},
    ],
}


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


def leave_performance(home: Path) -> None:
    """Leave findings of performance."""
    path = home / "performance" / "findings.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(orjson.dumps(PERFORMANCE))
