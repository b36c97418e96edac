"""A ratio of sums over shoppers, with a variance that knows a shopper's lists are alike.

With x and y summed for each of m shoppers, R = sum x / sum y has, by the delta method,

    var R = m / (m - 1) · sum (x - R y)² / (sum y)²

which is that of clusters (Deng, Knoblich and Lu 2018). Six sums tell all of it; they add up,
whichever part of the shoppers they are of.
"""

from dataclasses import dataclass
from statistics import NormalDist

LEAST_SHOPPERS = 30
"""Below, no interval of a normal distribution holds."""

CONFIDENCE = 0.95
Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of some lists of some shoppers, and its variance."""

    value: float
    variance: float
    lists: int
    shoppers: int

    @property
    def is_known(self) -> bool:
        """Tell whether there are shoppers enough for an interval."""
        return self.shoppers >= LEAST_SHOPPERS

    @property
    def spread(self) -> float:
        """Return the variance of one list: that of the figure, times so many lists."""
        return self.variance * self.lists

    def interval(self) -> tuple[float, float]:
        """Return where the figure lies, 95 % sure; none of ours is below 0."""
        half = Z * self.variance**0.5
        return max(self.value - half, 0.0), self.value + half


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over shoppers: of x, y, x², xy and y², and of the `lists` they were served.

    `shoppers` are those whose y is above 0: others tell nothing of the ratio.
    """

    shoppers: int = 0
    lists: int = 0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    yy: float = 0.0

    def __add__(self, other: "Moments") -> "Moments":
        """Return those of both; no shopper may be in both."""
        return Moments(
            self.shoppers + other.shoppers,
            self.lists + other.lists,
            self.x + other.x,
            self.y + other.y,
            self.xx + other.xx,
            self.xy + other.xy,
            self.yy + other.yy,
        )

    def figure(self) -> Figure | None:
        """Return the ratio, None of nothing."""
        if self.y <= 0:
            return None
        ratio = self.x / self.y
        squares = max(self.xx - 2 * ratio * self.xy + ratio**2 * self.yy, 0.0)
        variance = self.shoppers / max(self.shoppers - 1, 1) * squares / self.y**2
        return Figure(ratio, variance, self.lists, self.shoppers)
