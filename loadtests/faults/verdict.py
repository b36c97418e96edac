"""What a fault did to shoppers, and whether that is within what is promised."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.bench.generator import REFUSED, UNANSWERED, Answer

WITHIN_S = 0.100
DEGRADED = {"segment", "global"}

HEAD = (
    "| fault | requests | 503 | else no 200 | cut off | refused | slowest ms | over 100 ms"
    " | answered from | recovered after s | events taken | lost | doubled |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One fault's row."""

    name: str
    requests: int
    unavailable: int
    other: int
    """Answers that are neither 200 with items nor 503."""

    cut_off: int
    refused: int
    slowest_ms: float
    late: int
    sources: dict[str, float]
    """The share of each source among the answers while it was broken."""

    recovered_s: float
    events: int
    lost: int
    doubled: int

    @property
    def is_kept(self) -> bool:
        """Tell whether every request that was taken got its list in time, and no event was lost."""
        return not (self.other or self.late or self.lost or self.doubled)

    def row(self) -> str:
        """Return the row of the table."""
        sources = ", ".join(f"{name} {share:.0%}" for name, share in self.sources.items())
        cells = (
            self.name if self.is_kept else f"**{self.name}**",
            f"{self.requests:,}",
            self.unavailable,
            self.other,
            self.cut_off,
            self.refused,
            f"{self.slowest_ms:.0f}",
            self.late,
            sources,
            f"{self.recovered_s:.1f}",
            self.events,
            self.lost,
            self.doubled,
        )
        return f"| {' | '.join(map(str, cells))} |"


def judge(
    name: str,
    answers: Sequence[Answer],
    broken: tuple[float, float],
    events: int,
    lost: int,
    doubled: int,
) -> Verdict:
    """Return the verdict on `answers`, with the thing broken from and to the given moments."""
    listed = [each for each in answers if each.status == 200]
    during = [each for each in listed if broken[0] <= each.due_s < broken[1]] or listed
    shares = Counter(each.source for each in during)
    statuses = Counter(each.status for each in answers)
    worse = [
        each.due_s
        for each in answers
        if each.due_s >= broken[1] and (each.status != 200 or each.source in DEGRADED)
    ]
    return Verdict(
        name,
        len(answers),
        statuses[503],
        sum(each.status not in {200, 503, UNANSWERED, REFUSED} for each in answers)
        + sum(not each.expected for each in listed),
        statuses[UNANSWERED],
        statuses[REFUSED],
        1_000 * max((each.seconds for each in listed), default=0.0),
        sum(each.seconds > WITHIN_S for each in listed),
        {source: count / len(during) for source, count in shares.most_common()},
        max(worse, default=broken[1]) - broken[1],
        events,
        lost,
        doubled,
    )
