"""How fast something grows, whatever single points say: Theil and Sen's slope, and its range.

The slope is the median of those between all pairs of points. Its range is theirs between the
ranks that Kendall's variance gives (Sen 1968; for several groups Hirsch, Slack and Smith 1982).
"""

import math
from collections.abc import Sequence
from itertools import combinations
from statistics import median
from typing import NamedTuple

Point = tuple[float, float]

_NORMAL_95 = 1.96


class Trend(NamedTuple):
    """Units of y for one of x: the slope, and where it lies with 95 % certainty."""

    slope: float
    low: float
    high: float


def trend(groups: Sequence[Sequence[Point]]) -> Trend | None:
    """Return the trend common to groups of points, each of a level of its own; None of no pair."""
    slopes = sorted(
        (y2 - y1) / (x2 - x1)
        for group in groups
        for (x1, y1), (x2, y2) in combinations(group, 2)
        if x1 != x2
    )
    if not slopes:
        return None
    spread = _NORMAL_95 * math.sqrt(sum(_variance(len(group)) for group in groups))
    low = math.floor((len(slopes) - spread) / 2)
    high = math.ceil((len(slopes) + spread) / 2)
    return Trend(median(slopes), slopes[max(low, 0)], slopes[min(high, len(slopes) - 1)])


def _variance(points: int) -> float:
    return points * (points - 1) * (2 * points + 5) / 18
