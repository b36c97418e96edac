"""How long what makes an answer personal may take."""

import pytest

from server.deadline import MOST_RESERVE, RESERVE, TURNS, deadline_of


def test_something_is_kept_back() -> None:
    """Of a tenth of a second, for the answer from the ladder."""
    assert deadline_of(5.0, 0.0, 0.1) == pytest.approx(5 + 0.1 * (1 - RESERVE))


def test_a_busy_loop_needs_more() -> None:
    """Who waited for a turn will wait for some more; yet one long turn does not take it all."""
    assert deadline_of(5.0, 0.005, 0.1) == pytest.approx(5.07 - TURNS * 0.005)
    assert deadline_of(5.0, 0.09, 0.1) == pytest.approx(5 + 0.1 * (1 - MOST_RESERVE))


@pytest.mark.parametrize("budget_s", [0.01, 0.03, 0.1, 60.0])
def test_any_budget_leaves_time_to_be_personal(budget_s: float) -> None:
    """Also the shortest that may be set."""
    assert deadline_of(5.0, 0.0, budget_s) > 5.0 + budget_s / 2
