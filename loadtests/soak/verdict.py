"""Whether a soak's memory stayed flat, and nobody was let down; as a value and in Markdown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from statistics import median

from loadtests.soak.step import Step
from loadtests.soak.trend import Point, Trend, trend

MOST_SHARE = 0.02
FEWEST = 5
"""Steps after warm-up: of fewer no growth could be told from noise."""

FLAT = (
    f"Flat: the resident memory of the worker, a median for each step after warm-up, grows by at "
    f"most {MOST_SHARE:.0%} an hour, or by no more than noise (the slope's 95 % range holds 0)."
)

_HEAD = (
    "| minute | worker RSS MB | highest | PSS | anonymous | master PSS | Valkey PSS"
    " | consumers PSS | files | threads | requests | failed | promotions | p50 | p99 ms |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


class Growth(StrEnum):
    """What can be said of memory."""

    FLAT = "flat"
    GROWS = "grows"
    TOO_FEW = "too few steps after warm-up to tell"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of all steps; memory in MB, the trend in MB an hour."""

    growth: Growth
    trend: Trend | None
    typical_mb: float
    judged: int
    requests: int
    failed: int
    promotions: int
    refused: int

    @property
    def is_kept(self) -> bool:
        """Tell whether memory does not grow and every request and promotion went well."""
        return self.growth is not Growth.GROWS and not self.failed and not self.refused


def judge(steps: Sequence[Step], warm_up_s: float) -> Verdict:
    """Return the verdict on steps, of each process but the first and those within `warm_up_s`."""
    groups = _warm(steps, warm_up_s)
    values = [much for group in groups for _, much in group]
    found = trend(groups)
    typical = median(values) if values else 0.0
    return Verdict(
        _growth(found, len(values), typical),
        found,
        typical,
        len(values),
        sum(step.requests for step in steps),
        sum(step.failed for step in steps),
        max((step.promotions for step in steps), default=0),
        sum(step.refused for step in steps),
    )


def table(steps: Sequence[Step], verdict: Verdict) -> str:
    """Return the verdict in words, and a row for each step."""
    told = "\n".join(f"- {line}" for line in _lines(verdict))
    return "\n".join((told, "", FLAT, "", _HEAD, *map(_row, steps), *_examples(steps)))


def typical_mb(step: Step) -> float:
    """Return the median of what the worker held during a step."""
    return median(much for _, much in step.rss_mb)


def _growth(found: Trend | None, judged: int, typical: float) -> Growth:
    if found is None or judged < FEWEST:
        return Growth.TOO_FEW
    grows = found.slope > MOST_SHARE * typical and found.low > 0
    return Growth.GROWS if grows else Growth.FLAT


def _warm(steps: Sequence[Step], warm_up_s: float) -> list[list[Point]]:
    """Return the (hours, MB) of each process's steps after its warm-up."""
    groups = []
    for _, group in groupby(steps, lambda step: step.process):
        first, *others = group
        warm_s = first.began_s + warm_up_s
        late = [step for step in others if step.began_s >= warm_s - 1e-6]
        groups.append([(step.seconds / 3_600, typical_mb(step)) for step in late])
    return groups


def _lines(verdict: Verdict) -> Iterator[str]:
    if verdict.trend is None or verdict.growth is Growth.TOO_FEW:
        yield f"memory: {verdict.growth}"
    else:
        slope, low, high = verdict.trend
        share = f"{slope / verdict.typical_mb:+.1%} of {verdict.typical_mb:.1f} MB"
        yield (
            f"memory: **{verdict.growth}**: {slope:+.2f} MB an hour ({low:+.2f} to {high:+.2f}), "
            f"{share}, by {verdict.judged} steps"
        )
    yield f"requests: {verdict.requests:,}, of which {verdict.failed} failed"
    yield f"promotions and rollbacks: {verdict.promotions}, and {verdict.refused} refused"


def _row(step: Step) -> str:
    cells = (
        f"{step.seconds / 60:g}{f' (process {step.process} warms up)' if step.is_first else ''}",
        f"{typical_mb(step):.1f}",
        f"{max(much for _, much in step.rss_mb):.1f}",
        f"{step.worker.pss_mb:.1f}",
        f"{step.worker.anonymous_mb:.1f}",
        *(f"{each.pss_mb:.1f}" for each in (step.master, step.valkey, step.consumers)),
        step.open_files,
        step.threads,
        f"{step.requests:,}",
        step.failed,
        step.promotions,
        f"{step.p50_ms:.1f}",
        f"{step.p99_ms:.1f}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def _examples(steps: Sequence[Step]) -> Iterator[str]:
    examples = [each for step in steps for each in step.examples]
    if examples:
        yield "\nSome that failed:\n"
        yield from (f"    {each}" for each in examples[:20])
