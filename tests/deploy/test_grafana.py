"""Grafana's boards: every query is one, every metric is there, and Grafana is given all of them."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.boards import BOARDS, GRAFANA, panels, queries, read
from tests.support.exposed import declared, exposed
from tests.support.promql import all_metrics_of, metrics_of

ROOT = Path(__file__).parents[2]
NAMES = [path.stem for path in BOARDS]
COLUMNS = 24


def recorded() -> set[str]:
    """Return the names of the series that rules record."""
    return {
        rule["record"]
        for path in (ROOT / "deploy" / "prometheus").glob("*.rules.yaml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if "record" in rule
    }


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (Debian package prometheus) is missing"
)
def test_every_query_is_one(tmp_path: Path) -> None:
    """Prometheus' own parser takes each."""
    rules = [
        {"record": "a:query", "expr": query, "labels": {"number": f"{board.stem}-{number}"}}
        for board in BOARDS
        for number, query in enumerate(queries(read(board)))
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "boards", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"{len(rules)} rules found" in done.stdout


@pytest.mark.parametrize("path", BOARDS, ids=NAMES)
def test_every_metric_is_there(path: Path) -> None:
    """At the service, beside it, or recorded; and each query reads at least one."""
    there = exposed() | recorded()
    for query in queries(read(path)):
        used = metrics_of(query)
        assert used, query
        assert used <= there, query


def test_what_is_shown() -> None:
    """What somebody asks first has a panel."""
    shown = {path.stem: all_metrics_of(queries(read(path))) for path in BOARDS}
    assert shown["service"] >= {
        "cuvee_requests_total",
        "cuvee_request_duration_seconds_bucket",
        "cuvee_stage_duration_seconds_bucket",
        "cuvee_fallback_total",
        "cuvee_fallback_share_ratio",
        "cuvee_cache_total",
        "cuvee_errors_total",
        "cuvee_batch_size_bucket",
        "cuvee_event_loop_lag_seconds_bucket",
        "cuvee:slo_budget_left:ratio",
    }
    assert shown["models"] >= {
        "cuvee_model_info",
        "cuvee_canary_answers_total",
        "cuvee_canary_moves_total",
        "cuvee_canary_share_ratio",
        "cuvee_monitor_failures_total",
        *(
            name
            for name in declared()
            if name.startswith(("cuvee_performance_", "cuvee_response_"))
        ),
    }
    assert shown["data"] >= {
        "cuvee_events_behind",
        "cuvee_dead_letters",
        "cuvee_feature_skew_ratio",
        "cuvee_drift_state",
        "cuvee_drift_effect",
    }


@pytest.mark.parametrize("path", BOARDS, ids=NAMES)
def test_panels_lie_beside_one_another(path: Path) -> None:
    """Each has a number of its own, a title, words about it, and a place that no other has."""
    board = read(path)
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= COLUMNS
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not taken & cells, panel["title"]
        taken |= cells
    for panel in panels(board):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        sources = {each["datasource"]["uid"] for each in (panel, *panel["targets"])}
        assert sources == {"${datasource}"}


def test_grafana_is_given_all_boards() -> None:
    """By the paths that compose mounts, with a Prometheus that compose runs."""
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    mounts = dict(each.split(":")[:2] for each in services["grafana"]["volumes"])
    provisioning = GRAFANA / "provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "cuvee.yaml").read_text())[
        "providers"
    ]
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())[
        "datasources"
    ]

    assert mounts["./grafana/provisioning"] == "/etc/grafana/provisioning"
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in services
    assert NAMES == ["data", "models", "service"]
    assert len({read(path)["uid"] for path in BOARDS}) == len(BOARDS)
