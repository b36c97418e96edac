"""The budget of one request, carried with it from the door to the answer.

Moments are those of `time.monotonic`. The event loop counts from the same start, but uvloop's
`loop.time()` only in whole milliseconds: too coarse for answers that take two.
"""

from typing import NamedTuple


class Deadline(NamedTuple):
    """A moment, in seconds, by which the answer must leave."""

    at: float

    def within(self, budget_s: float, now: float) -> float:
        """Return the moment by which a step with `budget_s` of its own must end."""
        return min(now + budget_s, self.at)
