"""The breaker opens after failures in a row and tries again by itself."""

import pytest

from monitoring.labels import BreakerState
from server.breaker import Breaker


class Clock:
    """A clock that stands until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock at 0."""
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    """Return a breaker that opens after three failures, for half a second."""
    return Breaker(clock, threshold=3, cooldown_s=0.5)


def fail(breaker: Breaker, times: int) -> None:
    """Fail so many times in a row."""
    for _ in range(times):
        breaker.failed()


def test_it_stays_closed_below_the_threshold(breaker: Breaker) -> None:
    """Failures that successes interrupt never open it."""
    for _ in range(5):
        fail(breaker, 2)
        breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED
    assert breaker.allow()


def test_it_opens_at_the_threshold(breaker: Breaker) -> None:
    """Three failures in a row stop calls."""
    fail(breaker, 3)
    assert breaker.state is BreakerState.OPEN
    assert not breaker.allow()


def test_half_open_tries_once_each_cooldown(breaker: Breaker, clock: Clock) -> None:
    """After the cooldown one call may try; a trial that is never told of is not the last."""
    fail(breaker, 3)
    clock.now = 0.5
    assert [breaker.allow() for _ in range(3)] == [True, False, False]
    clock.now = 1.0
    assert breaker.allow()


def test_a_successful_trial_closes(breaker: Breaker, clock: Clock) -> None:
    """When the trial succeeds all calls go again."""
    fail(breaker, 3)
    clock.now = 0.5
    assert breaker.allow()
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED
    assert all(breaker.allow() for _ in range(3))


def test_a_failed_trial_opens_again(breaker: Breaker, clock: Clock) -> None:
    """When the trial fails the next one waits a whole cooldown."""
    fail(breaker, 3)
    clock.now = 0.5
    assert breaker.allow()
    breaker.failed()
    clock.now = 0.9
    assert not breaker.allow()
    clock.now = 1.0
    assert breaker.allow()
