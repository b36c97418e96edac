"""What the drift monitor tells Prometheus; features are those of the reference, a closed set."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from monitoring.drift.detector import State
from monitoring.drift.report import Report

_LEVELS = {State.INSUFFICIENT: -1, State.QUIET: 0, State.SUSPECT: 1, State.DRIFTED: 2}

LINES = ("counted", "late", "ahead", "strange", "unreadable")
"""What may become of a line of the served log."""


class DriftMetrics:
    """Metrics of one monitor, on `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Declare them."""
        self._state = Gauge(
            "cuvee_drift_state",
            "-1 too few rows, 0 quiet, 1 suspect, 2 drifted.",
            ["feature"],
            registry=registry,
        )
        self._q = Gauge("cuvee_drift_q", "q-value of drift.", ["feature"], registry=registry)
        self._effect = Gauge(
            "cuvee_drift_effect", "How far from the reference.", ["feature"], registry=registry
        )
        self._rows = Gauge("cuvee_drift_rows", "Rows in the latest window.", registry=registry)
        self._ended = Gauge(
            "cuvee_drift_window_end_timestamp_seconds",
            "When the latest window ended.",
            registry=registry,
        )
        self._length = Gauge(
            "cuvee_drift_window_seconds", "How long a window is.", registry=registry
        )
        self._watching = Gauge(
            "cuvee_drift_watching",
            "1 where the model that serves has a reference and the store answers, else 0.",
            registry=registry,
        )
        self._watching_scores = Gauge(
            "cuvee_drift_watching_scores",
            "1 where the model that serves has a reference of scores, too, else 0.",
            registry=registry,
        )
        self._windows = Counter("cuvee_drift_windows", "Windows judged.", registry=registry)
        lines = Counter(
            "cuvee_drift_lines", "Lines of the served log.", ["result"], registry=registry
        )
        self._lines = {result: lines.labels(result) for result in LINES}

    def show(self, report: Report) -> None:
        """Show what was found, and nothing of columns that are watched no more."""
        for gauge in (self._state, self._q, self._effect):
            gauge.clear()
        for name, finding in report.findings.items():
            self._state.labels(name).set(_LEVELS[finding.state])
            self._q.labels(name).set(finding.q)
            self._effect.labels(name).set(finding.effect)
        self._rows.set(report.rows)
        self._ended.set(report.ended_ms / 1_000)
        self._length.set(report.window_ms / 1_000)

    def judged(self) -> None:
        """Count a window."""
        self._windows.inc()

    def lines(self, result: str, count: int) -> None:
        """Count lines by what became of them, one of `LINES`."""
        self._lines[result].inc(count)

    def watching_scores(self, are_watched: bool) -> None:
        """Show whether scores are watched as well."""
        self._watching_scores.set(are_watched)

    def watching(self, is_watching: bool) -> None:
        """Show whether it watches."""
        self._watching.set(is_watching)
