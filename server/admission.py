"""How much is taken on at once: personal answers up to a limit, constant ones beyond.

The limit follows how long personal answers take, as a connection's window follows its losses
(Chiu and Jain, 1989): cut by a half when one took too long, raised by one for as many in time
as it lets in. Whatever is short, the loop, the store or the model, what comes waits for it
in a queue of its own, and the queues stay short. A constant answer waits for nothing: however
many come, none of them is under way while the next one begins, and none has to be refused.
"""

from enum import Enum, auto

FIRST = 64
"""Personal answers at once before any has shown how long it takes."""

FEWEST = 8
"""So few are no queue: what is late then, is late for another reason."""


class Admission(Enum):
    """What a request may cost."""

    FULL = auto()
    LADDER = auto()


class ConcurrencyLimiter:
    """Counts the requests under way in this process."""

    def __init__(self, max_inflight: int, target_s: float) -> None:
        """Answer at most `max_inflight` in full; each should take at most `target_s` seconds."""
        self._max_inflight = max_inflight
        self._target_s = target_s
        self._limit = float(min(FIRST, max_inflight))
        self._cut_at = 0.0
        self.inflight = 0

    def enter(self) -> Admission:
        """Take a place, to be given back by `leave`."""
        self.inflight += 1
        return Admission.FULL if self.inflight <= self._limit else Admission.LADDER

    def leave(self, admission: Admission, started: float, now: float) -> None:
        """Give back the place that was taken when it `started`."""
        was_used = 2 * self.inflight > self._limit
        self.inflight -= 1
        if admission is Admission.LADDER:
            return
        if now - started > self._target_s:
            self._cut(started, now)
        elif was_used:
            self._limit = min(self._limit + 1 / self._limit, self._max_inflight)

    def _cut(self, started: float, now: float) -> None:
        if started < self._cut_at:
            return  # who came before the last cut says nothing of it
        self._limit = max(self._limit / 2, min(FEWEST, self._max_inflight))
        self._cut_at = now
