"""A circuit breaker: a dead store, or a slow model, must not cost every request its whole budget.

closed ─ `threshold` failures in a row ─> open ─ `cooldown_s` ─> half open ─ one trial
   ^                                        ^                                  │
   └───────────── it succeeds ──────────────┴─────────── it fails ─────────────┘
"""

from collections.abc import Callable

from monitoring.labels import BreakerState


class Breaker:
    """Counts failures in a row and says whether to try again."""

    def __init__(
        self, clock: Callable[[], float], threshold: int = 5, cooldown_s: float = 0.5
    ) -> None:
        """Open after `threshold` failures in a row, for `cooldown_s` seconds of `clock`."""
        self._clock = clock
        self._threshold = threshold
        self._cooldown_s = cooldown_s
        self._failures = 0
        self._retry_at = 0.0
        self.state = BreakerState.CLOSED

    def allow(self) -> bool:
        """Tell whether a call may be tried now; while half open, one each cooldown."""
        if self.state is BreakerState.CLOSED:
            return True
        if self._clock() < self._retry_at:
            return False
        self.state = BreakerState.HALF_OPEN
        self._retry_at = self._clock() + self._cooldown_s
        return True

    def succeeded(self) -> None:
        """Close."""
        self._failures = 0
        self.state = BreakerState.CLOSED

    def failed(self) -> None:
        """Count a failure; open when there are too many in a row, or the trial failed."""
        self._failures += 1
        if self.state is BreakerState.HALF_OPEN or self._failures >= self._threshold:
            self.state = BreakerState.OPEN
            self._retry_at = self._clock() + self._cooldown_s
