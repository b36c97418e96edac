"""The benchmark's figures as a table: medians, and how they stand to the ceiling's."""

from collections.abc import Mapping, Sequence
from statistics import median

from loadtests.bench.contender import CEILING
from loadtests.bench.measure import Figures

HEAD = (
    "| | requests/s | CPU-ms | × ceiling | p50 | p95 | p99 | p99.9 ms | × ceiling p50 | RSS MB |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def table(runs: Mapping[str, Sequence[Figures]]) -> str:
    """Return a Markdown table of the medians of each contender's runs."""
    ceiling = runs[CEILING]
    cpu, p50 = _median(ceiling, "cpu_ms"), _median(ceiling, "p50_ms")
    return "\n".join((HEAD, *(_row(name, each, cpu, p50) for name, each in runs.items())))


def _row(name: str, runs: Sequence[Figures], cpu_ms: float, p50_ms: float) -> str:
    own_cpu, own_p50 = _median(runs, "cpu_ms"), _median(runs, "p50_ms")
    failed = sum(each.failed for each in runs)
    cells = (
        f"{name}{f' ({failed} not as expected)' if failed else ''}",
        f"{_median(runs, 'rps'):,.0f}",
        f"{own_cpu:.3f}",
        f"{own_cpu / cpu_ms:.2f}",
        *(f"{_median(runs, each):.2f}" for each in ("p50_ms", "p95_ms", "p99_ms", "p999_ms")),
        f"{own_p50 / p50_ms:.2f}",
        f"{_median(runs, 'rss_mb'):.0f}",
    )
    return f"| {' | '.join(cells)} |"


def _median(runs: Sequence[Figures], name: str) -> float:
    middle: float = median(getattr(each, name) for each in runs)
    return middle
