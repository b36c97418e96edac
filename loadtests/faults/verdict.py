"""What a fault did to shoppers, and whether that is within what is promised."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from loadtests.bench.generator import REFUSED, UNANSWERED, Answer
from loadtests.faults.events import Outcome

WITHIN_S = 0.100
DEGRADED = {"segment", "global"}

HEAD = (
    "| fault | requests | no 200 | cut off | refused | slowest ms | over 100 ms"
    " | answered meanwhile from | recovered after s | events taken | lost | doubled"
    " | asker late ms | no core ms |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


class Loss(StrEnum):
    """How a request can get no list, where a fault is such that this may be."""

    CUT_OFF = "cut off"
    """The process that held the connection died."""

    REFUSED = "refused"
    """Nobody listened."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One fault's row."""

    name: str
    requests: int
    other: int
    """Answers that are not 200 with items."""

    cut_off: int
    refused: int
    slowest_ms: float
    late: int
    sources: dict[str, float]
    """The share of each source among the answers while it was broken."""

    recovered_s: float
    events: Outcome
    asker_late_ms: float
    """The most by which who asks woke up too late: an answer may seem later by as much."""

    no_core_ms: float
    """The most in a tenth of a second that the service was ready to go on and had no core."""

    allows: Collection[Loss] = field(default=())

    @property
    def is_kept(self) -> bool:
        """Tell whether every request that was taken got its list in time, and no event was lost."""
        losses = {
            Loss.CUT_OFF: self.cut_off,
            Loss.REFUSED: self.refused,
        }
        if any(count for loss, count in losses.items() if loss not in self.allows):
            return False
        return not (self.other or self.late or self.events.lost or self.events.doubled)

    def row(self) -> str:
        """Return the row of the table."""
        sources = ", ".join(f"{name} {share:.0%}" for name, share in self.sources.items())
        cells = (
            self.name if self.is_kept else f"**{self.name}**",
            f"{self.requests:,}",
            self.other,
            self.cut_off,
            self.refused,
            f"{self.slowest_ms:.0f}",
            self.late,
            sources,
            f"{self.recovered_s:.1f}",
            self.events.taken,
            self.events.lost,
            self.events.doubled,
            f"{self.asker_late_ms:.0f}",
            f"{self.no_core_ms:.0f}",
        )
        return f"| {' | '.join(map(str, cells))} |"


def judge(
    name: str,
    allows: Collection[Loss],
    answers: Sequence[Answer],
    broken: tuple[float, float],
    events: Outcome,
    no_core_s: float,
) -> Verdict:
    """Return the verdict on `answers`, with the thing broken from and to the given moments."""
    statuses = Counter(each.status for each in answers)
    answered = [each for each in answers if each.status not in {UNANSWERED, REFUSED}]
    listed = [each for each in answered if each.status == 200]
    return Verdict(
        name=name,
        requests=len(answers),
        other=sum(not each.expected for each in answered),
        cut_off=statuses[UNANSWERED],
        refused=statuses[REFUSED],
        slowest_ms=1e3 * max((each.seconds for each in answered), default=0.0),
        late=sum(each.seconds > WITHIN_S for each in answered),
        sources=_shares([each for each in listed if broken[0] <= each.due_s < broken[1]]),
        recovered_s=_recovered_s(answers, broken[1]),
        events=events,
        asker_late_ms=1e3 * max((each.asker_late_s for each in answers), default=0.0),
        no_core_ms=1e3 * no_core_s,
        allows=allows,
    )


def _shares(answers: Sequence[Answer]) -> dict[str, float]:
    counts = Counter(each.source for each in answers)
    return {source: count / len(answers) for source, count in counts.most_common()}


def _recovered_s(answers: Sequence[Answer], mended: float) -> float:
    """Return how long after `mended` the last request left that got less than it should."""
    worse = [
        each.due_s
        for each in answers
        if each.due_s >= mended and (each.status != 200 or each.source in DEGRADED)
    ]
    return max(worse, default=mended) - mended
