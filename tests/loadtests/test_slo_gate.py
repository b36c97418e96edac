"""The gate's arithmetic, its table, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from loadtests.__main__ import cli
from loadtests.slo_gate import DEFAULT_SLO, SloError, judge, read_result, read_slo, table


def _result(**changes: Any) -> dict[str, Any]:
    row = {"requests": 500, "failures": 0, "rps": 50.0}
    row |= {"p50_ms": 3.0, "p95_ms": 12.0, "p99_ms": 30.0, "max_ms": 55.0}
    routes = {name: dict(row) for name in ("recommendations", "similar", "popular", "events")}
    whole: dict[str, Any] = {
        "shape": "smoke",
        "seconds": 10.0,
        "generator_cpu_share": 0.3,
        "routes": routes,
        "sources": {"model": 300, "cache": 120, "segment": 80},
        "reasons": {"unknown_user": 78, "deadline": 2},
        "failures": {},
    }
    return whole | changes


def _missed(result: dict[str, Any]) -> list[str]:
    return [each.objective for each in judge(result, read_slo(DEFAULT_SLO)) if not each.kept]


def test_a_good_run_keeps_every_objective() -> None:
    """The shipped objectives accept a healthy run."""
    assert _missed(_result()) == []


def test_each_objective_can_be_missed() -> None:
    """A figure above its limit misses that objective and no other."""
    late = _result()
    late["routes"]["recommendations"]["p99_ms"] = 100.1
    failed = _result()
    failed["routes"]["events"]["failures"] = 1

    assert _missed(late) == ["recommendations p99_ms"]
    assert _missed(failed) == ["failures"]
    assert _missed(_result(reasons={"unknown_user": 251})) == ["degraded_share"]
    assert _missed(_result(reasons={"overload": 6})) == ["breakdown_share"]
    assert _missed(_result(reasons={"fallback_share": 6})) == []
    assert _missed(_result(generator_cpu_share=0.95)) == ["generator_cpu_share"]


def test_nothing_measured_is_not_kept() -> None:
    """An empty run misses its count, its latencies and its shares."""
    missed = _missed(_result(routes={}, sources={}, reasons={}))

    assert {"requests", "recommendations p95_ms", "degraded_share"} <= set(missed)


def test_the_limit_itself_is_kept() -> None:
    """At most means at most."""
    edge = _result()
    edge["routes"]["recommendations"] |= {"p95_ms": 50, "p99_ms": 100}

    assert _missed(edge) == []


def test_the_table_shows_routes_sources_and_verdicts() -> None:
    """Figures per route, shares by source and reason, each objective."""
    result = _result(failures={"events: HTTP 500": 3})

    text = table(result, judge(result, read_slo(DEFAULT_SLO)))

    assert "recommendations         500       0    50.0      3.0     12.0     30.0     55.0" in text
    assert "source    model 60.0% · cache 24.0% · segment 16.0%" in text
    assert "degraded  unknown_user 15.6% · deadline 0.4%" in text
    assert "3 x events: HTTP 500" in text
    assert text.count(" ok") == len(judge(result, read_slo(DEFAULT_SLO)))


@pytest.mark.parametrize(
    "text",
    [
        "load_test: {failuers: 0}",
        "load_test: {routes: {events: {p98_ms: 3}}}",
        "load_test: 1",
        "failures: 0",
        "- 1",
        "",
    ],
)
def test_a_misspelt_objective_is_an_error(tmp_path: Path, text: str) -> None:
    """An objective nobody knows is never silently dropped."""
    (tmp_path / "slo.yaml").write_text(text)

    with pytest.raises(SloError, match="objective"):
        read_slo(tmp_path / "slo.yaml")


@pytest.mark.parametrize(("share", "code"), [(0.3, 0), (0.99, 1)])
def test_the_exit_code_is_the_verdict(tmp_path: Path, share: float, code: int) -> None:
    """0 when everything was kept, 1 when something was missed."""
    (tmp_path / "result.json").write_text(json.dumps(_result(generator_cpu_share=share)))

    done = CliRunner().invoke(cli, ["gate", str(tmp_path / "result.json")])

    assert done.exit_code == code


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "expected the result.json of a run: Expecting value"),
        (b"\xa6", "expected the result.json of a run: 'utf-8' codec"),
        (b"[]", "expected the result.json of a run, found no shape"),
        (b'{"shape": "smoke"}', "expected the result.json of a run, found no seconds"),
    ],
)
def test_what_is_no_result_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    """The file is named, with what it should be."""
    path = tmp_path / "result.json"
    path.write_bytes(content)
    with pytest.raises(SloError) as refused:
        read_result(path)
    assert str(refused.value).startswith(f"{path}: {told}")


@pytest.mark.parametrize("content", [b"a: [", b"\xa6"])
def test_objectives_that_are_no_yaml_are_told(tmp_path: Path, content: bytes) -> None:
    """In one line that names the file."""
    path = tmp_path / "slo.yaml"
    path.write_bytes(content)
    with pytest.raises(SloError) as refused:
        read_slo(path)
    assert str(refused.value).startswith(f"{path}: not YAML: ")
    assert "\n" not in str(refused.value)
