"""Whether a run kept its objectives: a table to read and a verdict to act on."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DEFAULT_SLO = Path(__file__).parents[1] / "deploy" / "slo.yaml"
SECTION = "load_test"
"""What of that file is ours; the rest is the service's, over a month."""
FIGURES = (
    "shape",
    "seconds",
    "routes",
    "sources",
    "reasons",
    "failures",
    "generator_cpu_share",
)
LATENCIES = ("p50_ms", "p95_ms", "p99_ms")
OBJECTIVES = frozenset(
    {
        "min_requests",
        "failures",
        "routes",
        "degraded_share",
        "breakdown_share",
        "generator_cpu_share",
    }
)


class SloError(Exception):
    """The objectives or the result cannot be used."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One objective, what was measured, and whether it was kept."""

    objective: str
    measured: float
    limit: float
    kept: bool


def read_slo(path: Path) -> dict[str, Any]:
    """Return the objectives in `path`; a misspelt one is an error, not an objective less."""
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise SloError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    slo = told.get(SECTION) if isinstance(told, dict) else None
    where = f"{path}: {SECTION}"
    if not isinstance(slo, dict):
        raise SloError(f"{where}: expected a mapping of objectives, got {slo!r:.40}")
    if unknown := set(slo) - OBJECTIVES:
        raise SloError(f"{where}: unknown objective {sorted(unknown)}")
    for route, limits in slo.get("routes", {}).items():
        if bad := set(limits) - set(LATENCIES):
            raise SloError(f"{where}.routes.{route}: unknown objective {sorted(bad)}")
    return slo


def read_result(path: Path) -> dict[str, Any]:
    """Return the figures of a run; raise `SloError` where a file holds something else."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SloError(f"{path}: expected the result.json of a run: {error}") from None
    told = result if isinstance(result, dict) else {}
    if missing := [name for name in FIGURES if name not in told]:
        raise SloError(f"{path}: expected the result.json of a run, found no {missing[0]}")
    return told


def judge(result: Mapping[str, Any], slo: Mapping[str, Any]) -> list[Verdict]:
    """Return a verdict on every objective; one that nothing was measured for is not kept."""
    return list(_judge(result, slo))


def _judge(result: Mapping[str, Any], slo: Mapping[str, Any]) -> Iterator[Verdict]:
    routes = result["routes"]
    requests = sum(figures["requests"] for figures in routes.values())
    failures = sum(figures["failures"] for figures in routes.values())
    least = slo.get("min_requests", 1)
    yield Verdict("requests", requests, least, requests >= least)
    yield _at_most("failures", failures, slo.get("failures", 0))
    for route, limits in slo.get("routes", {}).items():
        for name, limit in limits.items():
            measured = routes.get(route, {}).get(name, float("nan"))
            yield _at_most(f"{route} {name}", measured, limit)
    answers = sum(result["sources"].values())
    degraded = sum(result["reasons"].values())
    meant = sum(result["reasons"].get(reason, 0) for reason in ("unknown_user", "fallback_share"))
    shares = {
        "degraded_share": _share(degraded, answers),
        "breakdown_share": _share(degraded - meant, answers),
        "generator_cpu_share": result["generator_cpu_share"],
    }
    for name, share in shares.items():
        if name in slo:
            yield _at_most(name, share, slo[name])


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _at_most(objective: str, measured: float, limit: float) -> Verdict:
    # Written so that NaN, nothing measured, is not kept.
    return Verdict(objective, measured, limit, measured <= limit)


def table(result: Mapping[str, Any], verdicts: list[Verdict]) -> str:
    """Return the run and the verdicts as text."""
    return "\n".join([*_route_lines(result), "", *_source_lines(result), "", *_lines(verdicts)])


def _route_lines(result: Mapping[str, Any]) -> Iterator[str]:
    yield f"{result['shape']}, {result['seconds']:.1f} s, latencies in ms"
    yield f"{'route':<18}{'requests':>9}{'failed':>8}{'rps':>8}" + "".join(
        f"{name:>9}" for name in ("p50", "p95", "p99", "max")
    )
    for route, row in result["routes"].items():
        counts = f"{route:<18}{row['requests']:>9}{row['failures']:>8}{row['rps']:>8.1f}"
        yield counts + "".join(f"{row[name]:>9.1f}" for name in (*LATENCIES, "max_ms"))
    for message, count in result["failures"].items():
        yield f"  {count} x {message}"


def _source_lines(result: Mapping[str, Any]) -> Iterator[str]:
    answers = sum(result["sources"].values())
    for title, counts in (("source", result["sources"]), ("degraded", result["reasons"])):
        shares = (f"{name} {count / answers:.1%}" for name, count in counts.items())
        yield f"{title:<10}" + (" · ".join(shares) or "none")


def _lines(verdicts: list[Verdict]) -> Iterator[str]:
    yield f"{'objective':<28}{'measured':>10}{'limit':>10}"
    for each in verdicts:
        word = "ok" if each.kept else "MISSED"
        yield f"{each.objective:<28}{each.measured:>10.4g}{each.limit:>10.4g}  {word}"
