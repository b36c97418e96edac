"""The benchmark's figures as tables: medians, and how they stand to the ceiling's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from loadtests.bench.contender import CEILING
from loadtests.bench.measure import Figures

FIGURES = {
    "rps": ("requests/s", "{:,.0f}"),
    "cpu_ms": ("CPU-ms", "{:.3f}"),
    "p50_ms": ("p50", "{:.2f}"),
    "p95_ms": ("p95", "{:.2f}"),
    "p99_ms": ("p99", "{:.2f}"),
    "p999_ms": ("p99.9 ms", "{:.2f}"),
    "memory_mb": ("memory MB", "{:.0f}"),
}
"""Fields of `Figures`, and how each is told."""


@dataclass(frozen=True, slots=True)
class Round:
    """Everybody measured once, the ceiling first, and the ceiling once more at the end."""

    figures: dict[str, Figures]
    ceiling_after: Figures

    def before(self, name: str, figure: str) -> float:
        """Return a figure of `name` as a multiple of the ceiling's before it."""
        return self.of(name, figure) / self.of(CEILING, figure)

    def after(self, name: str, figure: str) -> float:
        """Return a figure of `name` as a multiple of the ceiling's after it."""
        ceiling: float = getattr(self.ceiling_after, figure)
        return self.of(name, figure) / ceiling

    def of(self, name: str, figure: str) -> float:
        """Return a figure of `name`."""
        told: float = getattr(self.figures[name], figure)
        return told


def table(rounds: Sequence[Round]) -> str:
    """Return Markdown tables of the medians of all rounds, and of their ratios to the ceiling."""
    names = list(rounds[0].figures)
    told = [_cells(name, rounds) for name in names]
    ratios = [_ratios(name, rounds) for name in names]
    return "\n\n".join((_table("", told), _table("× ceiling before / after", ratios)))


def middle(rounds: Sequence[Round], of: Callable[[Round], float]) -> float:
    """Return the median of a figure of each round."""
    return median(map(of, rounds))


def _cells(name: str, rounds: Sequence[Round]) -> list[str]:
    failed = sum(each.figures[name].failed for each in rounds)
    first = f"{name}{f' ({failed} not as expected)' if failed else ''}"

    def told(figure: str, form: str) -> str:
        return form.format(middle(rounds, lambda each: each.of(name, figure)))

    return [first, *(told(figure, form) for figure, (_, form) in FIGURES.items())]


def _ratios(name: str, rounds: Sequence[Round]) -> list[str]:
    def told(figure: str) -> str:
        before = middle(rounds, lambda each: each.before(name, figure))
        after = middle(rounds, lambda each: each.after(name, figure))
        return f"{before:.2f} / {after:.2f}"

    return [name, *map(told, FIGURES)]


def _table(title: str, rows: Sequence[Sequence[str]]) -> str:
    head = [title, *(label for label, _ in FIGURES.values())]
    lines = (f"| {' | '.join(cells)} |" for cells in (head, *rows))
    first, *others = lines
    return "\n".join((first, "|---" * len(head) + "|", *others))
