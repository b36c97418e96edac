"""Two rules that say which columns have drifted: ours, and the one that comes to mind first."""

import time
from collections import deque
from typing import Protocol

import numpy as np
from scipy.stats import chi2_contingency, ks_2samp

from models.reference.rows import Rows
from monitoring.drift.counts import Counts
from monitoring.drift.detector import SCALES, Finding, State, Watched, judge
from monitoring.drift.policy import policy_in_force
from monitoring.drift.reference import Reference

NAIVE_P = 0.05
NAIVE_ROWS = 10_000


class Rule(Protocol):
    """Looks at one window after another."""

    def look(self, window: Rows) -> set[str]:
        """Return the columns that have drifted, as of this window."""
        ...

    def clock(self) -> float:
        """Return the processor time of whoever looks."""
        ...


class Ours:
    """What `python -m monitoring run` does, with its default limits."""

    def __init__(self, reference: Reference) -> None:
        """Compare with `reference`."""
        self._reference = reference
        self._limits = policy_in_force().limits
        self._windows: deque[Counts] = deque(maxlen=max(SCALES))
        self._before: dict[str, Finding] = {}

    def look(self, window: Rows) -> set[str]:
        """Return the columns that have drifted, as of this window."""
        self._windows.append(Counts.of(self._reference.columns, window))
        watched = Watched(self._reference, list(self._windows))
        self._before = judge([watched], self._limits, self._before)
        return {name for name, each in self._before.items() if each.state is State.DRIFTED}

    def clock(self) -> float:
        """Return this process's time."""
        return time.process_time()


class Naive:
    """Each column on its own, each window on its own: Kolmogorov and Smirnov, or chi-square."""

    def __init__(self, reference: Rows) -> None:
        """Compare with a sample of the reference."""
        self._reference = sample(reference)

    def look(self, window: Rows) -> set[str]:
        """Return the columns with p below `NAIVE_P`."""
        return {name for name in window.values if self._p(name, window) < NAIVE_P}

    def clock(self) -> float:
        """Return this process's time."""
        return time.process_time()

    def _p(self, name: str, window: Rows) -> float:
        before, now = self._reference.values[name], window.values[name]
        if before.dtype != np.object_:
            return float(ks_2samp(before, now, method="asymp").pvalue)
        levels, places = np.unique(np.concatenate((before, now)).astype(str), return_inverse=True)
        table = [
            np.bincount(each, minlength=len(levels))
            for each in (places[: len(before)], places[len(before) :])
        ]
        return float(chi2_contingency(np.stack(table)).pvalue)


def sample(reference: Rows) -> Rows:
    """Return `NAIVE_ROWS` of the reference, evenly from all hours."""
    return reference.take(np.linspace(0, len(reference) - 1, NAIVE_ROWS).astype(int))
