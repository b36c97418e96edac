"""Rules are valid, tested, explained, and watch only what exists."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from monitoring.drift.detector import Finding, State
from monitoring.drift.metrics import DriftMetrics
from monitoring.drift.report import Report, Told
from monitoring.exposition import render
from monitoring.metrics import Metrics
from monitoring.parts import failures_of
from monitoring.response.metrics import ResponseMetrics

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RULE_FILES = sorted(FOLDER.glob("*.rules.yaml"))
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (Debian package prometheus) is missing"
)


def _rules() -> list[dict[str, Any]]:
    return [
        rule
        for path in RULE_FILES
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def _promtool(*arguments: str) -> None:
    done = subprocess.run(
        ["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_configuration_and_rules_are_valid() -> None:
    """Promtool accepts prometheus.yml and both rule files."""
    _promtool("check", "config", "prometheus.yml")
    _promtool("check", "rules", *(path.name for path in RULE_FILES))


@needs_promtool
def test_rules_fire_and_keep_quiet_as_written() -> None:
    """The rules' own unit tests pass: fired and not-fired cases."""
    _promtool("test", "rules", *(str(path) for path in sorted((FOLDER / "tests").glob("*.yaml"))))


def test_every_alert_has_a_unit_test() -> None:
    """No alert goes without a case that fires it."""
    fired = {
        case["alertname"]
        for path in (FOLDER / "tests").glob("*.yaml")
        for test in yaml.safe_load(path.read_text())["tests"]
        for case in test.get("alert_rule_test", [])
        if case["exp_alerts"]
    }

    assert fired == {rule["alert"] for rule in _rules() if "alert" in rule}


def _drift(registry: CollectorRegistry) -> None:
    """Show a quiet feature."""
    told = Told(Finding("age", State.QUIET), ())
    DriftMetrics(registry).show(Report("v1", 0, 1_000, 0, {"age": told}))


def _response(registry: CollectorRegistry) -> None:
    """Show a responder, and a part that is well."""
    ResponseMetrics(registry)
    failures_of(registry)


def test_rules_watch_only_metrics_that_exist() -> None:
    """Every name in an expression is exposed by the service or recorded by a rule."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.model("v1")
    metrics.feature_skew({"hour": 0.0})
    metrics.events_behind({"offline": 0})
    metrics.data_held({"ingest": 0})
    _drift(registry)
    _response(registry)
    exposed = set(re.findall(r"^(cuvee_\w+)", render(registry)[0].decode(), re.MULTILINE))
    recorded = {rule["record"] for rule in _rules() if "record" in rule}
    used = {name for rule in _rules() for name in re.findall(r"\bcuvee[_:][\w:]+", rule["expr"])}

    assert used - exposed - recorded == set()
    assert used >= {"cuvee_slow_requests_total", "cuvee:window60s:request_count"}


def test_every_alert_leads_to_its_runbook_section() -> None:
    """The runbook has a section for each alert, under the anchor the alert names, and no others."""
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    alerts = {rule["alert"]: rule for rule in _rules() if "alert" in rule}

    assert set(headings) == set(alerts)
    for name, rule in alerts.items():
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}


def test_the_metrics_page_names_every_metric() -> None:
    """The documented table and the code agree."""
    registry = CollectorRegistry()
    Metrics(registry).model("v1")
    _drift(registry)
    _response(registry)
    text = render(registry)[0].decode()
    declared = set(re.findall(r"^# TYPE (cuvee_\w+) ", text, re.MULTILINE))
    declared = {name for name in declared if not name.endswith("_created")}
    page = (ROOT / "docs" / "metrics.md").read_text()

    assert set(re.findall(r"^\| `(cuvee_\w+)`", page, re.MULTILINE)) == declared
