"""What is said of each metric: everybody's, and each segment's.

    shortest window with lists enough for the effect ─ live beside base ─ p ─ q over all of them
    ─ sure, and at least half of the effect that was asked for: worse

That a window has lists enough holds after the correction: of m tests the first passes Benjamini and
Hochberg's at q/m, whatever the others say, so that is the level at which the power is reckoned.
Where lists are too few for the effect a larger one may be sure all the same; but that all is fine
nobody can say.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from monitoring.false_discovery import adjusted
from monitoring.finding import Severity
from monitoring.performance import power
from monitoring.performance.coverage import DRAWN
from monitoring.performance.moments import Figure
from monitoring.performance.policy import Limits, Policy
from monitoring.performance.scored import RATIOS
from monitoring.performance.states import State
from monitoring.performance.sums import EVERYBODY, Segment, Span, Summing, Sums

COVERAGE, CALIBRATION = "coverage", "calibration"
RIGHT = 1.0
"""Clicks for each that was predicted."""

SURELY_BAD = 0.8
"""Of the least that a figure may be: below it is high."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A figure beside its baseline; `least_lists` find the effect, these find `least_effect`.

    `change` is relative, with its interval. `threshold` is what was passed, where it is worse. The
    version had lists on `served_days` of `days`.
    """

    metric: str
    segment: str | None
    state: State
    days: int
    span: Span
    live: Figure | None = None
    base: Figure | None = None
    least_lists: float | None = None
    least_effect: float | None = None
    change: tuple[float, float, float] | None = None
    q: float | None = None
    severity: Severity | None = None
    threshold: float | None = None
    served_days: int = 0


@dataclass(frozen=True, slots=True)
class _Test:
    """How probable a figure is where all is well, and what is said if that is too little."""

    at: int
    p: float
    severity: Severity | None
    threshold: float


class Bench:
    """Judges sums by a policy."""

    def __init__(self, summing: Summing, policy: Policy) -> None:
        """Judge nothing yet; `summing` knows the windows."""
        self._summing = summing
        self._policy = policy

    def verdicts(self, sums: Sums) -> list[Verdict]:
        """Return what is said of every metric, everybody's first, then by segment."""
        segments = list(self._segments(sums))
        alpha = self._alpha(segments)
        told = [each for segment in segments for each in self._of(sums, segment, alpha)]
        tests = [test for at, each in enumerate(told) for test in self._tests(at, each)]
        for test, q in zip(tests, adjusted([each.p for each in tests]), strict=True):
            told[test.at] = self._concluded(told[test.at], test, q)
        return told

    def _segments(self, sums: Sums) -> Iterator[Segment]:
        yield EVERYBODY
        days = max(self._policy.window_days)
        for dimension in self._policy.segments:
            lists = {
                segment: moments.lists
                for (metric, window, live, segment), moments in sums.ratios.items()
                if (metric, window, live, segment[0]) == ("ctr", days, True, dimension)
            }
            if len(lists) > 1:  # the only value has everybody's figures
                ordered = sorted(lists, key=lambda each: (-lists[each], each))
                yield from ordered[: self._policy.most_values]

    def _alpha(self, segments: Sequence[Segment]) -> float:
        """Return the level that a single drop must pass beside so many tests in which none is.

        Fewer are made where figures are not known yet: then a drop is found more often.
        """
        metrics = [metric for segment in segments for metric in self._metrics(segment)]
        limits = [self._policy.metrics[metric] for metric in self._metrics(EVERYBODY)]
        least = sum(each.least is not None for each in limits)
        return self._policy.q / (len(metrics) + least)

    def _metrics(self, segment: Segment) -> Iterator[str]:
        for metric in self._policy.metrics:
            if metric == COVERAGE and segment != EVERYBODY:
                continue
            if metric == CALIBRATION and not self._policy.scores_are_probabilities:
                continue
            yield metric

    def _of(self, sums: Sums, segment: Segment, alpha: float) -> Iterator[Verdict]:
        for metric in self._metrics(segment):
            yield self._chosen(sums, metric, segment, alpha)

    def _chosen(self, sums: Sums, metric: str, segment: Segment, alpha: float) -> Verdict:
        """Return a figure of the shortest window that has lists enough, else of the longest."""
        told: Verdict | None = None
        for days in self._policy.window_days:
            told = self._window(sums, metric, segment, days, alpha)
            if told.state is State.FINE:
                return told
        assert told is not None  # noqa: S101 - a policy has a window at least
        return told

    def _window(
        self, sums: Sums, metric: str, segment: Segment, days: int, alpha: float
    ) -> Verdict:
        if metric == COVERAGE:
            kind, live, base = None, sums.covered(days, live=True), sums.covered(days, live=False)
        else:
            kind = RATIOS[metric].kind
            live = sums.ratio(metric, days, segment, live=True)
            base = sums.ratio(metric, days, segment, live=False)
        name = None if segment == EVERYBODY else "=".join(segment)
        span, served = self._summing.span(kind, days), sums.served_days(kind, days)
        told = Verdict(metric, name, State.INSUFFICIENT, days, span, live, base, served_days=served)
        if metric == CALIBRATION:
            base = None if live is None else replace(live, value=RIGHT)
        if live is None or not live.is_known:
            return told
        if base is None or not base.is_known or base.value <= 0:
            return replace(told, state=State.NO_BASELINE)
        return self._compared(told, live, base, alpha)

    def _compared(self, told: Verdict, live: Figure, base: Figure, alpha: float) -> Verdict:
        limits, wanted = self._policy.metrics[told.metric], self._policy.power
        if told.metric == CALIBRATION:
            base = replace(base, variance=0.0, lists=10**12)
            spread = live.spread
            need = spread * (power.z(alpha, wanted) / limits.effect) ** 2
            effect = power.z(alpha, wanted) * math.sqrt(spread / live.lists)
        else:
            need = power.least_lists(base, limits.effect, alpha, wanted)
            effect = power.least_effect(base, live.lists, alpha, wanted)
        if told.metric == COVERAGE:
            need = max(need, DRAWN)
        enough = live.lists >= need
        return replace(
            told,
            state=State.FINE if enough else State.INSUFFICIENT,
            least_lists=need,
            least_effect=effect,
            change=power.change(live, base),
        )

    def _tests(self, at: int, told: Verdict) -> Iterator[_Test]:
        limits, live, base = self._policy.metrics[told.metric], told.live, told.base
        if live is None or not live.is_known:
            return
        if limits.least is not None and told.metric != CALIBRATION and told.segment is None:
            least = limits.least
            is_high = live.value < SURELY_BAD * least
            severity = Severity.HIGH if is_high else Severity.MEDIUM
            yield _Test(at, power.p_below(live, least), severity, least)
        if told.change is None:
            return
        if told.metric == CALIBRATION:
            off = abs(told.change[0])
            p = 2 * min(power.p_below(live, RIGHT), 1 - power.p_below(live, RIGHT))
            side = -1 if live.value < RIGHT else 1
            yield _Test(at, p, _severity(off, limits), RIGHT + side * limits.effect / 2)
        elif base is not None:
            threshold = base.value * (1 - limits.effect / 2)
            yield _Test(
                at, power.p_of_drop(live, base), _severity(-told.change[0], limits), threshold
            )

    def _concluded(self, told: Verdict, test: _Test, q: float) -> Verdict:
        """Say what a test says, where it is worse than what another said before."""
        told = replace(told, q=q if told.q is None else min(q, told.q))
        if q > self._policy.q or test.severity is None:
            return told
        if told.severity is Severity.HIGH:
            return told
        return replace(told, state=State.WORSE, severity=test.severity, threshold=test.threshold)


def _severity(drop: float, limits: Limits) -> Severity | None:
    """Return how bad a drop is; None for less than half of what is asked for."""
    if drop < limits.effect / 2:
        return None
    return Severity.HIGH if drop >= limits.high else Severity.MEDIUM
