"""The benchmark's figures as a table: medians, and how they stand to the ceiling's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from loadtests.bench.contender import CEILING
from loadtests.bench.measure import Figures

HEAD = (
    "| | requests/s | CPU-ms | × ceiling before | after | p50 | p95 | p99 | p99.9 ms"
    " | × ceiling p50 | RSS MB |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True)
class Round:
    """Everybody measured once, the ceiling first, and the ceiling once more at the end."""

    figures: dict[str, Figures]
    ceiling_after: Figures

    def cpu_before(self, name: str) -> float:
        """Return the processor time of `name` as a multiple of the ceiling's before it."""
        return self.figures[name].cpu_ms / self.figures[CEILING].cpu_ms

    def cpu_after(self, name: str) -> float:
        """Return the processor time of `name` as a multiple of the ceiling's after it."""
        return self.figures[name].cpu_ms / self.ceiling_after.cpu_ms

    def p50(self, name: str) -> float:
        """Return the p50 of `name` as a multiple of the ceiling's, which was measured twice."""
        ceilings = self.figures[CEILING].p50_ms, self.ceiling_after.p50_ms
        return self.figures[name].p50_ms / fmean(ceilings)


def table(rounds: Sequence[Round]) -> str:
    """Return a Markdown table of the medians of all rounds."""
    return "\n".join((HEAD, *(_row(name, rounds) for name in rounds[0].figures)))


def middle(rounds: Sequence[Round], of: Callable[[Round], float]) -> float:
    """Return the median of a figure of each round."""
    return median(map(of, rounds))


def _row(name: str, rounds: Sequence[Round]) -> str:
    failed = sum(each.figures[name].failed for each in rounds)

    def told(figure: str) -> float:
        return middle(rounds, lambda each: getattr(each.figures[name], figure))

    cells = (
        f"{name}{f' ({failed} not as expected)' if failed else ''}",
        f"{told('rps'):,.0f}",
        f"{told('cpu_ms'):.3f}",
        f"{middle(rounds, lambda each: each.cpu_before(name)):.2f}",
        f"{middle(rounds, lambda each: each.cpu_after(name)):.2f}",
        *(f"{told(each):.2f}" for each in ("p50_ms", "p95_ms", "p99_ms", "p999_ms")),
        f"{middle(rounds, lambda each: each.p50(name)):.2f}",
        f"{told('rss_mb'):.0f}",
    )
    return f"| {' | '.join(cells)} |"
