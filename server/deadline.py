"""The budget of one request, carried with it from the door to the answer.

    here ─ waits for its turn ─ read, ranked ─ deadline │ answer from the ladder ─ out

Moments are those of `time.monotonic`. The event loop counts from the same start, but uvloop's
`loop.time()` only in whole milliseconds: too coarse for answers that take two.
"""

from typing import Final, NamedTuple, Self

RESERVE: Final = 0.3
"""Of the budget, kept back for the answer from the ladder, should what is personal be late."""

MOST_RESERVE: Final = 0.6
"""Of the budget, kept back where the loop is busy."""

TURNS: Final = 3
"""Turns of the loop that a request waits for and does not see: to be read from the socket, to be
told that it is late, to be answered."""


class Deadline(NamedTuple):
    """A moment, in seconds, by which all that makes an answer personal must be there."""

    at: float

    @classmethod
    def of(cls, started: float, waited_s: float, budget_s: float) -> Self:
        """Return the deadline of a request that was here when it `started`, and waited for a turn.

        The answer must leave `budget_s` after it started. Turns to come will last as long as the
        one that it waited for, which is next to nothing unless the loop is busy.
        """
        reserve_s = min(RESERVE * budget_s + TURNS * waited_s, MOST_RESERVE * budget_s)
        return cls(started + budget_s - reserve_s)

    def within(self, budget_s: float, now: float) -> float:
        """Return the moment by which a step with `budget_s` of its own must end."""
        return min(now + budget_s, self.at)
