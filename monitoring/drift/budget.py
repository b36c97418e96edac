"""False alarms that can be borne, as people say it: `1/week`."""

import re
from dataclasses import dataclass
from typing import Self

from features.errors import FieldError

_HOURS = {"hour": 1, "day": 24, "week": 168, "month": 730}
_TOLD = re.compile(rf"(\d+(?:\.\d+)?)/({'|'.join(_HOURS)})")


@dataclass(frozen=True, slots=True)
class Budget:
    """So many `alarms` in a `period`, one of hour, day, week and month."""

    alarms: float
    period: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what `text` says; raise `FieldError` where it is none."""
        told = _TOLD.fullmatch(text.strip())
        if told is None or not float(told[1]):
            wanted = f"a number above 0 and one of {', '.join(_HOURS)}"
            raise FieldError("budget", f"expected {wanted}, as in 1/week, got {text!r:.40}")
        return cls(float(told[1]), told[2])

    def rate(self, alarms: float, windows: float, window_minutes: int) -> float:
        """Return how many alarms in a period so many in so many windows are."""
        return alarms / (windows * window_minutes / 60) * _HOURS[self.period]
