"""Durations as Prometheus writes them: `5m`, `3d`, `250ms`."""

import re
from typing import Final, NamedTuple

from features.errors import FieldError

_UNITS_MS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_DURATION = re.compile(r"([1-9]\d{0,5})(s|m|h|d)")


class Window(NamedTuple):
    """A window by the name that rules give it, 1h for 60m, too, and how long it is in seconds."""

    name: str
    seconds: float


def read_window(raw: object, where: str) -> Window:
    """Return the window that `raw` names; raise `FieldError` naming `where`."""
    found = _DURATION.fullmatch(raw) if isinstance(raw, str) else None
    if found is None:
        raise FieldError(where, f"expected a duration such as 5m, 6h or 3d, got {raw!r:.40}")
    seconds = int(found[1]) * _UNITS_MS[found[2]] / 1_000
    return Window(duration(seconds), seconds)


def duration(seconds: float) -> str:
    """Return a duration to the millisecond, in the largest unit that holds it whole."""
    whole = max(round(seconds * 1_000), 1)
    unit = next(unit for unit, size in _UNITS_MS.items() if whole % size == 0)
    return f"{whole // _UNITS_MS[unit]}{unit}"
