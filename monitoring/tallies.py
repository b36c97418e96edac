"""What the request path counts, kept as plain numbers until somebody enters them.

Prometheus' own children lock, and with several workers write a file: 1 to 3 µs each, ten times
a request. Appending to a list or adding to an integer costs a fraction of that; entering a
quarter of a second's worth at once costs next to nothing a request.

A `Count` is added to by one thread: that is reading and writing. `Observations` may be kept by
several, models run beside the loop: extending a list is one step. Entering may happen on another
thread, one at a time.
"""

import numpy as np
from prometheus_client import Counter, Histogram


class Count:
    """How often something happened."""

    __slots__ = ("_child", "_entered", "total")

    def __init__(self, child: Counter) -> None:
        """Count for `child`."""
        self._child = child
        self._entered = 0
        self.total = 0
        """Add to it."""

    def enter(self) -> None:
        """Tell the child what it was not told yet."""
        total = self.total
        if total != self._entered:
            self._child.inc(total - self._entered)
            self._entered = total


class Observations:
    """What a histogram is to hold: how long something took, in seconds, or how many there were."""

    __slots__ = ("_child", "add", "values")

    def __init__(self, child: Histogram) -> None:
        """Observe for `child`."""
        self._child = child
        self.values: list[float] = []
        self.add = self.values.append
        """Keep one more."""

    def enter(self) -> int:
        """Tell the child what was kept, and return how many they were."""
        count = len(self.values)
        if count:
            told = self.values[:count]
            del self.values[:count]  # others may have come behind them
            _observe(self._child, told)
        return count


def _observe(child: Histogram, values: list[float]) -> None:
    """Do what `child.observe` does for each, in one pass: it has no method for many."""
    places = np.searchsorted(child._upper_bounds, values)  # noqa: SLF001
    for bucket, count in zip(child._buckets, np.bincount(places).tolist(), strict=False):  # noqa: SLF001
        if count:
            bucket.inc(count)
    child._sum.inc(sum(values))  # noqa: SLF001
