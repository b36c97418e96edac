"""What is told of each part: its figures, their goals, and who they stand beside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

Round: TypeAlias = dict[str, dict[str, float]]
"""Figures by name, of everybody, ours first."""

CUVEE, FEAST = "cuvee", "Feast"


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of a table: `key` is how programs tell it, `of` makes one number of all rounds'."""

    key: str
    label: str
    form: str = "{:,.0f}"
    goal: str = ""
    of: Callable[[Sequence[float]], float] = median
    is_compared: bool = True


@dataclass(frozen=True, slots=True)
class Part:
    """What was measured together: rounds, each of everybody once, by turns."""

    title: str
    note: str
    figures: Sequence[Figure]
    rounds: Sequence[Round]

    @property
    def names(self) -> list[str]:
        """Return who was measured, ours first."""
        return list(self.rounds[0])

    def of(self, figure: Figure, name: str) -> float:
        """Return a figure of `name` over all rounds."""
        return figure.of([each[name][figure.key] for each in self.rounds])


COUNTED = 1_000
"""Labels of a join whose clicks are counted anew, for want of a second way to all our features."""

READ = (
    Figure("features", "features read of each", is_compared=False),
    Figure("known", "of these not the default, on average", "{:.1f}", is_compared=False),
)


def online_figures(in_flight: int) -> tuple[Figure, ...]:
    """Return the lines about reading shoppers, with so many requests in flight."""
    at_once = f"{in_flight} requests in flight"
    return (
        Figure("one_p50_ms", "one shopper: p50 ms", "{:.3f}"),
        Figure("one_p99_ms", "one shopper: p99 ms", "{:.3f}"),
        Figure("one_cpu_ms", "one shopper: CPU-ms", "{:.3f}"),
        Figure("flight_p50_ms", f"{at_once}: p50 ms until all are told", "{:.2f}"),
        Figure("flight_cpu_ms", f"{at_once}: CPU-ms a shopper", "{:.4f}", "≤ 0.03"),
        Figure("many_p50_ms", "100 shoppers in one call: p50 ms", "{:.2f}", "≤ 1"),
        Figure("many_p99_ms", "100 shoppers in one call: p99 ms", "{:.2f}"),
        Figure("many_cpu_ms", "100 shoppers in one call: CPU-ms a shopper", "{:.4f}"),
        Figure("key_bytes", "bytes a shopper, over all keys", "{:,.0f}", "≤ 7,000"),
        Figure("bytes", "bytes a shopper, of used_memory", "{:,.0f}", "≤ 7,000"),
        *READ,
        Figure("wrong", "wrong values", of=max, is_compared=False),
    )


def join_figures(goal: str, memory_goal: str) -> tuple[Figure, ...]:
    """Return the lines about a join that is to take `goal` seconds, and so much memory."""
    return (
        Figure("join_s", "the join, best: s", "{:.2f}", goal, min),
        Figure("join_s", "the join, median: s", "{:.2f}"),
        Figure("whole_s", "the program with its imports, median: s", "{:.2f}"),
        Figure("peak_mb", "peak memory, median: MB", "{:,.0f}", memory_goal),
        *READ,
        Figure(
            "wrong",
            f"wrong values; of ours, of clicks of {COUNTED:,} labels",
            of=max,
            is_compared=False,
        ),
    )


INGEST = (
    Figure("rate", "events/s", "{:,.0f}", "≥ 20,000"),
    Figure("cpu_us", "CPU-µs an event, of all processes", "{:.1f}"),
    Figure("refused", "posts that had to be sent again"),
    Figure("behind_online", "behind at the end, group online: events"),
    Figure("behind_offline", "behind at the end, group offline: events"),
    Figure("caught_up_s", "until both have caught up: s", "{:.1f}"),
    Figure("lost", "lost on the way to the tables: events", of=max),
    Figure("doubled", "doubled in the tables: events", of=max),
)
