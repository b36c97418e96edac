"""Rules are valid, tested, explained, and watch only what exists."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.exposed import declared, exposed, exposition
from tests.support.promql import all_metrics_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RULE_FILES = sorted(FOLDER.glob("*.rules.yaml"))
RUNBOOK = ROOT / "docs" / "runbook.md"
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


def _alerts() -> list[dict[str, Any]]:
    return [rule for rule in _rules() if "alert" in rule]


def _promtool(*arguments: str, told: str = "") -> None:
    done = subprocess.run(
        ["promtool", *arguments],
        cwd=FOLDER,
        input=told,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_configuration_and_rules_are_valid() -> None:
    """Promtool accepts prometheus.yml and every rule file."""
    _promtool("check", "config", "prometheus.yml")
    _promtool("check", "rules", *(path.name for path in RULE_FILES))


@needs_promtool
def test_metrics_are_named_as_prometheus_has_it() -> None:
    """Units, endings, and a word of help for each."""
    _promtool("check", "metrics", told=exposition())


def test_prometheus_loads_every_rule_file() -> None:
    """None of them lies beside the configuration unread."""
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    assert sorted(config["rule_files"]) == [path.name for path in RULE_FILES]


@pytest.mark.slow
@needs_promtool
def test_rules_fire_and_keep_quiet_as_written() -> None:
    """The rules' own unit tests pass: fired and not-fired cases."""
    _promtool("test", "rules", *(str(path) for path in sorted((FOLDER / "tests").glob("*.yaml"))))


def test_every_alert_has_a_unit_test() -> None:
    """No alert goes without a case that fires it: of those on objectives, each window."""
    fired = {
        (case["alertname"], alert["exp_labels"].get("window"))
        for path in (FOLDER / "tests").glob("*.yaml")
        for test in yaml.safe_load(path.read_text())["tests"]
        for case in test.get("alert_rule_test", [])
        for alert in case["exp_alerts"]
    }

    assert fired == {(rule["alert"], rule["labels"].get("window")) for rule in _alerts()}


def test_rules_watch_only_metrics_that_exist() -> None:
    """Every name in an expression is exposed by the service or recorded by a rule."""
    recorded = {rule["record"] for rule in _rules() if "record" in rule}
    used = all_metrics_of(rule["expr"] for rule in _rules())

    assert used - exposed() - recorded == set()
    assert used >= {"cuvee_slow_requests_total", "cuvee:window60s:request_count", "up"}


def test_every_alert_leads_to_its_runbook_section() -> None:
    """The runbook has a section for each alert, under the anchor the alert names, and no others."""
    headings = re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE)

    assert sorted(headings) == sorted({rule["alert"] for rule in _alerts()})
    for rule in _alerts():
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}


def test_every_runbook_section_says_what_to_do() -> None:
    """What it means, what to look at, and what to do."""
    sections = re.split(r"^## (\w+)$", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]
    for name, text in zip(sections[::2], sections[1::2], strict=True):
        for word in ("**Means.**", "**Look at"):
            assert word in text, f"{name}: {word}"
        assert re.search(r"\*\*Do\.\*\*|\*\*Look at and do", text), name


def test_the_metrics_page_names_every_metric() -> None:
    """The documented table and the code agree."""
    page = (ROOT / "docs" / "metrics.md").read_text()

    assert set(re.findall(r"^\| `(cuvee_\w+)`", page, re.MULTILINE)) == declared()
