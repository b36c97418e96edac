"""How long what makes an answer personal may take."""

import pytest

from server.deadline import RESERVE_S, TURNS, Deadline


def test_something_is_kept_back() -> None:
    """Of a tenth of a second, for the answer from the ladder."""
    assert Deadline.of(5.0, 5.0, 0.1).at == pytest.approx(5.1 - RESERVE_S)


def test_a_busy_loop_needs_more() -> None:
    """Who waited for a turn will wait for some more, and may be late before it begins."""
    assert Deadline.of(5.0, 5.01, 0.1).at == pytest.approx(5.1 - RESERVE_S - TURNS * 0.01)
    assert Deadline.of(5.0, 5.09, 0.1).at < 5.0


def test_a_step_has_its_own_budget() -> None:
    """Unless the whole has less left."""
    deadline = Deadline(5.0)
    assert deadline.within(0.05, 4.0) == pytest.approx(4.05)
    assert deadline.within(0.05, 4.98) == 5.0
