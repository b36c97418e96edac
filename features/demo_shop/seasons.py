"""When people shop for wine: by month, weekday and hour, and what they then reach for."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from features.demo_shop.world import TYPES

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

_MONTHS = np.array([0.8, 0.85, 0.9, 0.95, 1.0, 1.0, 0.95, 0.9, 1.0, 1.05, 1.3, 1.8])
_WEEKDAYS = np.array([0.85, 0.8, 0.9, 1.0, 1.35, 1.25, 1.0])
_HOURS = np.array(
    [2, 1, 1, 1, 1, 1, 2, 3, 5, 6, 7, 8, 10, 9, 8, 8, 9, 12, 15, 18, 20, 17, 10, 5], float
)

SEASONS = np.ones((len(TYPES), 13))
"""How much a type of wine is wanted in a month, float64[types, 1 … 12]."""
SEASONS[TYPES.index("Sparkling"), [11, 12, 1]] = (1.6, 3.2, 1.3)
SEASONS[TYPES.index("Rosé"), 5:10] = (1.8, 2.6, 3.0, 2.6, 1.4)
SEASONS[TYPES.index("Rosé"), [1, 2, 11, 12]] = 0.5
SEASONS[TYPES.index("White"), 5:9] = 1.3
SEASONS[TYPES.index("Red"), [1, 2, 10, 11, 12]] = 1.25
SEASONS[TYPES.index("Dessert"), 12] = 1.6


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days a shop was open, up to `until_ms`, with how busy each was (cumulative, 0 to 1)."""

    start_ms: int
    until_ms: int
    busy: npt.NDArray[np.float64]

    @classmethod
    def ending(cls, until: datetime, days: int) -> "Calendar":
        """Return the calendar of the `days` before `until`."""
        until_ms = int(until.astimezone(UTC).timestamp() * 1_000)
        start_ms = until_ms - days * DAY_MS
        opened = start_ms + np.arange(days) * DAY_MS
        weights = _MONTHS[months(opened) - 1] * _WEEKDAYS[(opened // DAY_MS + 3) % 7]
        busy = np.concatenate(([0.0], np.cumsum(weights) / weights.sum()))
        return cls(start_ms, until_ms, busy)

    def moments(
        self, random: np.random.Generator, joined: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.int64]:
        """Return one moment (local time, ms) for each visit of one who joined at that fraction."""
        opened = np.interp(joined, np.linspace(0, 1, len(self.busy)), self.busy)
        drawn = opened + (1 - opened) * random.random(len(joined))
        day = np.clip(np.searchsorted(self.busy, drawn, side="right") - 1, 0, len(self.busy) - 2)
        hour = random.choice(24, len(joined), p=_HOURS / _HOURS.sum())
        within = random.integers(0, HOUR_MS, len(joined))
        return self.start_ms + day * DAY_MS + hour * HOUR_MS + within


def months(moments_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the month, 1 to 12, of each moment."""
    since = moments_ms.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    return since % 12 + 1
