"""Which findings a rule is about, and for how many windows in a row each has been there."""

from collections.abc import Iterable, Mapping, Sequence

from monitoring.finding import Finding, Kind
from monitoring.response.policy import Rule
from monitoring.response.state import Streak

Found = Mapping[Kind, Sequence[Finding] | None]
"""What each kind of monitor finds now; None where that is not known."""

_BETWEEN = "\x1f"


def follow(
    streaks: dict[str, Streak], rule: Rule, found: Found, age_s: float | None
) -> list[Finding]:
    """Return the findings that persist as a rule asks, after their streaks were brought up to now.

    One that is not there any more ends its streak; of what is not known streaks stay as they are.
    """
    fitting = {
        place_of(rule, each): each
        for kind in rule.kinds
        for each in found.get(kind) or ()
        if rule.condition.fits(each, age_s)
    }
    known = [kind for kind in rule.kinds if found.get(kind) is not None]
    for place in [each for each in streaks if _is_over(each, rule, known, fitting)]:
        del streaks[place]
    for place, finding in fitting.items():
        streaks[place] = _continued(streaks.get(place), finding)
    return [
        finding
        for place, finding in fitting.items()
        if streaks[place].count >= rule.condition.persists
    ]


def is_due(streaks: Mapping[str, Streak], rule: Rule, finding: Finding) -> bool:
    """Tell whether a finding of `follow` is of a window that was not acted on yet."""
    streak = streaks[place_of(rule, finding)]
    return streak.end_s > streak.decided_s


def decide(streaks: Mapping[str, Streak], rule: Rule, findings: Iterable[Finding]) -> None:
    """Note that findings were acted on."""
    for each in findings:
        streak = streaks[place_of(rule, each)]
        streak.decided_s = streak.end_s


def of_rules(streaks: dict[str, Streak], rules: Iterable[Rule]) -> None:
    """Forget streaks of rules that are no more."""
    names = {rule.name for rule in rules}
    for place in [each for each in streaks if each.partition(_BETWEEN)[0] not in names]:
        del streaks[place]


def place_of(rule: Rule, finding: Finding) -> str:
    """Return where the streak of a finding stands."""
    return _BETWEEN.join((rule.name, finding.kind, finding.key))


def _is_over(place: str, rule: Rule, known: Sequence[Kind], fitting: Mapping[str, Finding]) -> bool:
    name, kind, _ = place.split(_BETWEEN)
    return name == rule.name and kind in known and place not in fitting


def _continued(streak: Streak | None, finding: Finding) -> Streak:
    """Return a streak with one more window; it begins anew after a gap, and with another model."""
    if streak is not None and streak.version == finding.version:
        if streak.end_s == finding.end_s:
            return streak
        if finding.start_s <= streak.end_s < finding.end_s:
            return Streak(finding.version, finding.end_s, streak.count + 1, streak.decided_s)
    return Streak(finding.version, finding.end_s)
