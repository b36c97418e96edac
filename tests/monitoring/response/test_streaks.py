"""Persistence: how many windows in a row a finding is there, whatever comes between."""

from collections.abc import Sequence

from monitoring.finding import Finding, Kind
from monitoring.response.policy import Action, Condition, Deed, Rule
from monitoring.response.state import Streak
from monitoring.response.streaks import decide, follow, is_due, of_rules
from tests.support.found import found

RULE = Rule("r", frozenset({Kind.DRIFT}), Condition(persists=3), (Deed(Action.RETRAIN),))


class Windows:
    """One rule, window after window."""

    def __init__(self) -> None:
        """See nothing yet."""
        self.streaks: dict[str, Streak] = {}

    def see(self, *findings: Finding) -> list[str]:
        """Return which of them persist."""
        return self._seen(findings)

    def see_nothing_known(self) -> list[str]:
        """Return what persists where it is not known what there is."""
        return self._seen(None)

    def _seen(self, findings: Sequence[Finding] | None) -> list[str]:
        told = follow(self.streaks, RULE, {Kind.DRIFT: findings}, None)
        return [each.subject for each in told]


def test_a_finding_persists_from_the_third_window_on() -> None:
    """Each window counts once, however often it is looked at; each finding for itself."""
    windows = Windows()
    assert windows.see(found(0)) == windows.see(found(0)) == windows.see(found(0)) == []
    assert windows.see(found(1), found(1, subject="age")) == []
    assert windows.see(found(2), found(2, subject="age")) == ["spend"]
    assert windows.see(found(3), found(3, subject="age")) == ["spend", "age"]


def test_what_is_gone_begins_anew() -> None:
    """So does what comes back after windows that nobody saw, and what is of another model."""
    windows = Windows()
    for number in range(2):
        windows.see(found(number))
    windows.see()
    assert windows.see(found(2)) == windows.see(found(3)) == []
    assert windows.see(found(4)) == ["spend"]
    assert windows.see(found(9)) == []
    windows.see(found(10))
    assert windows.see(found(11)) == ["spend"]
    assert windows.see(found(12, version="v2")) == []


def test_what_is_not_known_changes_nothing() -> None:
    """No data is no end."""
    windows = Windows()
    for number in range(2):
        windows.see(found(number))
    assert windows.see_nothing_known() == []
    assert windows.see(found(2)) == ["spend"]


def test_a_clock_that_goes_back_begins_anew() -> None:
    """What was seen of the future is no window in a row."""
    windows = Windows()
    for number in range(5, 8):
        windows.see(found(number))
    assert windows.see(found(2)) == []


def test_a_window_is_acted_on_once() -> None:
    """The next one is due again, and so is the same after it was gone."""
    windows = Windows()
    for number in range(3):
        windows.see(found(number))
    assert is_due(windows.streaks, RULE, found(2))
    decide(windows.streaks, RULE, [found(2)])
    windows.see(found(2))
    assert not is_due(windows.streaks, RULE, found(2))
    windows.see(found(3))
    assert is_due(windows.streaks, RULE, found(3))


def test_rules_that_are_no_more_leave_nothing() -> None:
    """Whatever they had counted."""
    windows = Windows()
    windows.see(found(0))
    of_rules(windows.streaks, [RULE])
    assert windows.streaks
    of_rules(windows.streaks, [])
    assert not windows.streaks
