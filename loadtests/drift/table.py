"""The outcomes of all worlds as a table."""

from collections.abc import Sequence
from statistics import median

from loadtests.drift.libraries import LIBRARIES
from loadtests.drift.trial import Outcome, Score

_NEVER = 10**6

_LEGEND = (
    "Of a change: share of drifted columns flagged / share of flags that are false / windows to "
    "the first true flag, median (and mean) of all worlds."
)


def table(worlds: Sequence[dict[str, Outcome]], changes: Sequence[str]) -> str:
    """Return a table in Markdown: a row for each rule, a column for each change."""
    head = ["rule", "quiet windows", "alarmed", *changes, "ms a window"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for rule in ("naive", *LIBRARIES, "ours"):
        told = [each[rule] for each in worlds if rule in each]
        if told:
            lines.append(f"| {' | '.join([rule, *_cells(told, changes)])} |")
    return "\n".join([*lines, "", _LEGEND])


def _cells(told: Sequence[Outcome], changes: Sequence[str]) -> list[str]:
    quiet = sum(each.quiet for each in told)
    alarms = sum(each.alarms for each in told)
    speed = sum(each.seconds for each in told) / sum(each.looks for each in told)
    scores = [_score([each.scores[change] for each in told]) for change in changes]
    return [f"{quiet}", f"{alarms / quiet:.1%}", *scores, f"{speed * 1_000:.0f}"]


def _score(scores: Sequence[Score]) -> str:
    right, wrong = sum(each.right for each in scores), sum(each.wrong for each in scores)
    found = right / sum(each.possible for each in scores)
    false = f"{wrong / (right + wrong):.1%}" if right + wrong else "-"
    first = [each.first if each.first is not None else _NEVER for each in scores]
    if (middle := median(first)) >= _NEVER / 2:
        return f"{found:.0%} / {false} / never"
    whole = "" if max(first) == _NEVER else f" ({sum(first) / len(first):.1f})"
    return f"{found:.0%} / {false} / {middle:g}{whole}"
