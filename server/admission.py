"""How much is taken on at once: personal answers up to a limit, constant ones beyond, then 503."""

from enum import Enum, auto

from server.errors import UnavailableError


class Admission(Enum):
    """What a request may cost."""

    FULL = auto()
    LADDER = auto()


class Gate:
    """Counts the requests under way in this process."""

    def __init__(self, max_inflight: int, hard_limit: int) -> None:
        """Answer in full up to `max_inflight`, from the ladder up to `hard_limit`, then refuse."""
        self._max_inflight = max_inflight
        self._hard_limit = hard_limit
        self.inflight = 0

    def enter(self) -> Admission:
        """Take a place, to be given back by `leave`.

        Raises `UnavailableError` past the hard limit.
        """
        if self.inflight >= self._hard_limit:
            raise UnavailableError(f"{self._hard_limit} requests are under way")
        self.inflight += 1
        return Admission.FULL if self.inflight <= self._max_inflight else Admission.LADDER

    def leave(self) -> None:
        """Give the place back."""
        self.inflight -= 1
