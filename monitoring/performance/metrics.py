"""What the monitor of performance tells Prometheus; segments are told in findings only."""

import math
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge

from monitoring.finding import Severity
from monitoring.performance.states import State

if TYPE_CHECKING:  # they read tables, which a machine that only watches for drift has not
    from monitoring.performance.judged import Judged
    from monitoring.performance.verdict import Verdict

_LEVELS = {State.NO_BASELINE: -2, State.INSUFFICIENT: -1, State.FINE: 0, State.WORSE: 1}


class PerformanceMetrics:
    """Metrics of one monitor, on `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Declare them."""
        figures = {
            "value": "A figure of mature lists of the model that serves.",
            "low": "Where its 95 % interval begins.",
            "high": "Where its 95 % interval ends.",
            "baseline": "The same of the model before, or of earlier lists.",
            "state": "-2 no baseline, -1 too few lists, 0 fine, 1 worse.",
        }
        self._figures = {
            name: Gauge(f"cuvee_performance_{name}", says, ["metric"], registry=registry)
            for name, says in figures.items()
        }
        found = Gauge(
            "cuvee_performance_findings", "Figures that are worse.", ["severity"], registry=registry
        )
        self._found = {each: found.labels(each) for each in (Severity.MEDIUM, Severity.HIGH)}
        self._judged = Gauge(
            "cuvee_performance_judged_timestamp_seconds", "When it was judged.", registry=registry
        )
        self._watching = Gauge(
            "cuvee_performance_watching", "1 where a model serves and is judged.", registry=registry
        )
        self._lists = Gauge(
            "cuvee_performance_lists", "1 where there are lists to judge by.", registry=registry
        )

    def show(self, told: "Judged") -> None:
        """Show what is said of everybody's figures, and how many of all are worse."""
        for gauge in self._figures.values():
            gauge.clear()
        for each in told.verdicts:
            if each.segment is None:
                self._show(each)
        for severity, gauge in self._found.items():
            gauge.set(sum(each.severity is severity for each in told.verdicts))
        self._judged.set(told.at_ms / 1_000)

    def watching(self, is_watching: bool) -> None:
        """Show whether it judges."""
        self._watching.set(is_watching)

    def lists(self, has_any: bool) -> None:
        """Show whether the home has served lists, in their table or on the way to it."""
        self._lists.set(has_any)

    def _show(self, each: "Verdict") -> None:
        told = {"state": float(_LEVELS[each.state])}
        if each.live is not None:
            low, high = each.live.interval()
            told |= {"value": each.live.value, "low": low, "high": high}
        if each.base is not None:
            told["baseline"] = each.base.value
        for name, value in told.items():
            if math.isfinite(value):
                self._figures[name].labels(each.metric).set(value)
