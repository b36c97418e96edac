"""Every Prometheus metric of the service, and the methods that move them.

`PROMETHEUS_MULTIPROC_DIR` decides, when this module is first imported, whether values live in
memory (one worker) or in files that all workers share. The table is in docs/metrics.md.
"""

import os

from prometheus_client import GC_COLLECTOR, REGISTRY, CollectorRegistry, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

from monitoring.canary_metrics import CanaryMetrics
from monitoring.data_metrics import DataMetrics
from monitoring.outcome_metrics import OutcomeMetrics
from monitoring.request_metrics import RequestMetrics
from monitoring.state_metrics import StateMetrics

# One more line for each counter and histogram, at every scrape, that nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics(RequestMetrics, OutcomeMetrics, CanaryMetrics, StateMetrics, DataMetrics):
    """The metrics of one worker process; label children are made once and kept.

    Methods never raise for a value of their types; call them on the event loop, `stage` and
    `missing_features` on any thread. Those of the request path only take note, see
    `monitoring.tallies`: `enter` tells Prometheus, at every scrape and four times a second.

    Its groups are inherited, not held: to hand on would be one more call for each of theirs, ten
    times a request.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register every metric with `registry`; in one-worker mode process and GC metrics too."""
        RequestMetrics.__init__(self, registry)
        OutcomeMetrics.__init__(self, registry)
        CanaryMetrics.__init__(self, registry)
        StateMetrics.__init__(self, registry)
        DataMetrics.__init__(self, registry)
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ and registry is not REGISTRY:
            ProcessCollector(registry=registry)
            registry.register(GC_COLLECTOR)

    def enter(self) -> None:
        """Tell Prometheus what was noted since the last time."""
        RequestMetrics.enter(self)
        OutcomeMetrics.enter(self)
        CanaryMetrics.enter(self)
        StateMetrics.enter(self)
        DataMetrics.enter(self)
