"""Every series that Prometheus can find at the service and at what runs beside it."""

import re

from prometheus_client import CollectorRegistry

from monitoring.drift.detector import Finding, State
from monitoring.drift.metrics import DriftMetrics
from monitoring.drift.report import Report, Told
from monitoring.exposition import render
from monitoring.labels import CanaryMove, Outcome, Page, Route, Source, Variant
from monitoring.metrics import Metrics
from monitoring.parts import failures_of
from monitoring.performance.judged import Judged
from monitoring.performance.metrics import PerformanceMetrics
from monitoring.performance.moments import Figure
from monitoring.performance.states import State as Performance
from monitoring.performance.sums import Span
from monitoring.performance.verdict import Verdict
from monitoring.response.cost import Cost
from monitoring.response.metrics import ResponseMetrics


def exposition() -> str:
    """Return what a service shows that has served for a while, and a monitor beside it."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.model("v1")
    metrics.request(Route.EVENTS, None, 202, 0.001)
    metrics.page(Page.HOME, Source.MODEL, 0.001)
    metrics.canary_answer(Variant.CANARY, Outcome.RANKED)
    metrics.canary_move(CanaryMove.ADVANCE)
    metrics.feature_skew({"hour": 0.0})
    metrics.events_behind({"offline": 0})
    metrics.data_held({"ingest": 0})
    told = Told(Finding("age", State.QUIET), ())
    DriftMetrics(registry).show(Report("v1", 0, 1_000, 0, {"age": told}))
    figure = Figure(0.1, 0.0001, 100, 100)
    verdict = Verdict("ctr", None, Performance.FINE, 1, Span(0, 1_000), figure, figure)
    PerformanceMetrics(registry).show(Judged("v2", "v1", 1_000, (verdict,), ()))
    response = ResponseMetrics(registry)
    response.delivered("ops", is_told=True)
    response.cost("a rule", Cost(2.0, 1.0, 3.0, "EUR"))
    failures_of(registry).labels("drift")
    return render(registry)[0].decode()


def exposed() -> set[str]:
    """Return the names of all series, and `up`, which is Prometheus' own."""
    return {"up", *re.findall(r"^([a-z]\w+)(?:\{| )", exposition(), re.MULTILINE)}


def declared() -> set[str]:
    """Return the names of our metrics as they are declared: a histogram's is one."""
    names = re.findall(r"^# TYPE (cuvee_\w+) ", exposition(), re.MULTILINE)
    return {name for name in names if not name.endswith("_created")}
