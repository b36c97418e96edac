"""The budget of one request, from the door to the answer.

    here ─ waits for its turn ─ read, ranked ─ deadline │ answer from the ladder ─ out

Moments are those of `time.monotonic`. The event loop counts from the same start, but uvloop's
`loop.time()` only in whole milliseconds: too coarse for answers that take two.
"""

from typing import Final

RESERVE: Final = 0.3
"""Of the budget, kept back for the answer from the ladder, should what is personal be late."""

MOST_RESERVE: Final = 0.6
"""Of the budget, kept back where the loop is busy."""

TURNS: Final = 3
"""Turns of the loop that a request waits for and does not see: to be read from the socket, to be
told that it is late, to be answered."""


def deadline_of(started: float, waited_s: float, budget_s: float) -> float:
    """Return the moment by which all that makes an answer personal must be there.

    The answer must leave `budget_s` after it `started`. Turns to come will last as long as the one
    that it waited for, which is next to nothing unless the loop is busy.
    """
    reserve_s = min(RESERVE * budget_s + TURNS * waited_s, MOST_RESERVE * budget_s)
    return started + budget_s - reserve_s
