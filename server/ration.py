"""So many a second and no more: a log must not become the load."""

from collections.abc import Callable


class Ration:
    """Counts what is asked for in each second of `clock`."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        """Let at most `most` pass in a second."""
        self._most = most
        self._clock = clock
        self._second = 0.0
        self._asked = 0

    def allow(self) -> bool:
        """Tell whether one more may pass now."""
        second = self._clock() // 1
        if second != self._second:
            self._second, self._asked = second, 0
        self._asked += 1
        return self._asked <= self._most
