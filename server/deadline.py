"""The budget of one request, carried with it from the door to the answer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the event loop's clock, in seconds, by which the answer must leave."""

    at: float

    def remaining(self, now: float) -> float:
        """Return the seconds left, 0 when it has passed."""
        return max(self.at - now, 0.0)

    def within(self, budget_s: float, now: float) -> float:
        """Return the moment by which a step with `budget_s` of its own must end."""
        return min(now + budget_s, self.at)
