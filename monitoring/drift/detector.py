"""Which columns have drifted, as of the latest window.

    counts of 2, 3, 4, 16 windows ─ each column beside its hours ─ one p of all scales
    ─ Benjamini and Hochberg over all columns, of features and of scores ─ an effect that matters

A small shift that stays is found in many windows together, a large one at once in the last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from monitoring.drift.comparison import Company, Compared, combined, compare
from monitoring.drift.counts import Counts
from monitoring.drift.reference import Reference
from monitoring.false_discovery import adjusted

SCALES = (2, 3, 4, 16)
"""Windows that are looked at together: one alone has too few shoppers to add anything."""


class State(StrEnum):
    """What is thought of a column."""

    QUIET = "quiet"
    SUSPECT = "suspect"
    """Perhaps other than it was: too often so to be told."""

    DRIFTED = "drifted"
    INSUFFICIENT = "insufficient"
    """Too few rows to say anything, and it had not drifted before."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a column has drifted.

    `q` is the share of false ones among those that have (Benjamini and Hochberg 1995), `suspect`
    the same of those that may have; `floor` is the least effect that matters (for a column in
    `floors` another), `least_rows` the rows that windows must have together.
    """

    q: float = 0.002
    suspect: float = 0.02
    floor: float = 0.05
    floors: Mapping[str, float] = field(default_factory=dict)
    least_rows: int = 200

    def floor_of(self, name: str) -> float:
        """Return the least effect that matters in a column."""
        return self.floors.get(name, self.floor)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is said of a column: `p` corrected for scales, `q` for columns too.

    `effect` is that of the scale (in windows) with the smallest p.
    """

    name: str
    state: State
    p: float = 1.0
    q: float = 1.0
    effect: float = 0.0
    windows: int = 0


@dataclass(frozen=True, slots=True)
class Watched:
    """A reference, and windows of its columns, the oldest first."""

    reference: Reference
    windows: Sequence[Counts]

    def tested(self, least_rows: int) -> dict[str, tuple[Compared, int]]:
        """Return what all scales together say of each column, and the scale that says it clearest.

        Nothing is said where the latest window has no rows, or all have fewer than `least_rows`.
        """
        windows = self.windows
        scales = [
            each for each in SCALES if each <= len(windows) and _rows(windows[-each:]) >= least_rows
        ]
        if not scales or not windows[-1].rows:
            return {}
        return at_scales(self.reference, windows, scales)


def judge(
    watched: Sequence[Watched], limits: Limits, before: Mapping[str, Finding]
) -> dict[str, Finding]:
    """Return what is said of every column that is `watched` after the latest window.

    `before` is what was said at the look before. A window without rows, or too few rows in all
    windows, change nothing: what had drifted still has.
    """
    tested = {
        name: told for each in watched for name, told in each.tested(limits.least_rows).items()
    }
    q = dict(zip(tested, adjusted([told.p for told, _ in tested.values()]), strict=True))
    return {
        name: _finding(limits, name, *tested[name], q[name])
        if name in tested
        else _unchanged(name, before.get(name))
        for name in (column.name for each in watched for column in each.reference.columns)
    }


def at_scales(
    reference: Reference, windows: Sequence[Counts], scales: Sequence[int]
) -> dict[str, tuple[Compared, int]]:
    """Return for each column what all scales say together, and the scale that says it clearest."""
    told: dict[str, list[Compared]] = {each.name: [] for each in reference.columns}
    for scale in scales:
        for name, compared in compared_all(reference, together(windows, scale)).items():
            told[name].append(compared)
    return {name: _clearest(each, scales) for name, each in told.items()}


def together(windows: Sequence[Counts], scale: int) -> Counts:
    """Return what the last `scale` of `windows` have counted."""
    return sum(windows[-scale:], Counts())


def compared_all(reference: Reference, window: Counts) -> dict[str, Compared]:
    """Return each column of a window, which has rows, beside its reference."""
    matched = reference.matched(window.slots)
    company = Company(window.rows, window.rows_per_shopper())
    return {
        each.name: compare(
            each,
            window.bins[each.name],
            matched[each.name],
            reference.alike[each.name],
            company,
        )
        for each in reference.columns
    }


def _rows(windows: Sequence[Counts]) -> int:
    return sum(each.rows for each in windows)


def _clearest(compared: Sequence[Compared], scales: Sequence[int]) -> tuple[Compared, int]:
    at = min(range(len(scales)), key=lambda at: compared[at].p)
    p = combined([each.p for each in compared])
    return Compared(p, compared[at].effect), scales[at]


def _finding(limits: Limits, name: str, told: Compared, scale: int, q: float) -> Finding:
    state = State.QUIET
    if told.effect >= limits.floor_of(name) and q <= max(limits.q, limits.suspect):
        state = State.DRIFTED if q <= limits.q else State.SUSPECT
    return Finding(name, state, told.p, q, told.effect, scale)


def _unchanged(name: str, before: Finding | None) -> Finding:
    had = before is not None and before.state is State.DRIFTED
    return Finding(name, State.DRIFTED if had else State.INSUFFICIENT)
