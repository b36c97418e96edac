"""Every Prometheus metric of the service, and the methods that move them.

`PROMETHEUS_MULTIPROC_DIR` decides, when this module is first imported, whether values live in
memory (one worker) or in files that all workers share. The table is in docs/metrics.md.
"""

import os
from http import HTTPStatus
from typing import Final

from prometheus_client import (
    GC_COLLECTOR,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.process_collector import ProcessCollector

from monitoring.labels import (
    SHOPPER_ROUTES,
    BreakerState,
    CacheResult,
    ErrorKind,
    EventResult,
    Reason,
    Route,
    Source,
    Stage,
)

__all__ = [
    "LATENCY_BUCKETS_S",
    "SHOPPER_ROUTES",
    "SLOW_REQUEST_S",
    "BreakerState",
    "CacheResult",
    "ErrorKind",
    "EventResult",
    "Metrics",
    "Reason",
    "Route",
    "Source",
    "Stage",
]

SLOW_REQUEST_S: Final = 0.2
LATENCY_BUCKETS_S: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.075, 0.1, 0.15, 0.2, 0.3, 0.5),
)
BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)

# One more line for each counter and histogram, at every scrape, that nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call]

_NO_SOURCE = "none"
_OTHER_STATUS = "other"
_STATUSES = frozenset(status.value for status in HTTPStatus)
# These exist at 0 from the start, so that the first failure is an increase and not a new series.
# Series nobody alerts on come with their first request: each costs time at every scrape.
_FIRST_STATUSES = (200, 500, 503)
_BREAKER_LEVELS = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


class Metrics:
    """The metrics of one worker process; label children are made once and kept.

    Methods are cheap enough for the request path (about 1 µs in memory, 3 µs in shared files)
    and never raise for a value of their types. Not for use from several threads at once on the
    same child in multiprocess mode: call them on the event loop.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register every metric with `registry`; in one-worker mode process and GC metrics too."""
        self._registry = registry
        self._version: str | None = None
        self._make_request_metrics()
        self._make_outcome_metrics()
        self._make_state_metrics()
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ and registry is not REGISTRY:
            ProcessCollector(registry=registry)
            registry.register(GC_COLLECTOR)

    def _make_request_metrics(self) -> None:
        duration = Histogram(
            "cuvee_request_duration_seconds",
            "Time from the parsed head of a request to its response, by route and ladder rung.",
            ("route", "source"),
            buckets=LATENCY_BUCKETS_S,
            registry=self._registry,
        )
        self._durations: dict[tuple[Route, Source | None], Histogram] = {
            (Route.RECOMMENDATIONS, source): duration.labels(Route.RECOMMENDATIONS, source)
            for source in Source
        }
        self._duration = duration
        self._requests = Counter(
            "cuvee_requests",
            "Requests answered, by route and HTTP status.",
            ("route", "status"),
            registry=self._registry,
        )
        self._statuses = {
            (Route.RECOMMENDATIONS, status): self._requests.labels(
                Route.RECOMMENDATIONS, str(status)
            )
            for status in _FIRST_STATUSES
        }
        self._slow = Counter(
            "cuvee_slow_requests",
            "Requests a page waited for that took more than 200 ms.",
            registry=self._registry,
        )
        stage = Histogram(
            "cuvee_stage_duration_seconds",
            "Time of one stage of a recommendation.",
            ("stage",),
            buckets=LATENCY_BUCKETS_S,
            registry=self._registry,
        )
        self._stages = {each: stage.labels(each) for each in Stage}

    def _make_outcome_metrics(self) -> None:
        registry = self._registry
        cache = Counter("cuvee_cache", "Looks into the cache.", ("result",), registry=registry)
        self._caches = {each: cache.labels(each) for each in CacheResult}
        fallback = Counter(
            "cuvee_fallback", "Answers from below the model.", ("reason",), registry=registry
        )
        self._fallbacks = {each: fallback.labels(each) for each in Reason}
        error = Counter("cuvee_errors", "What went wrong inside.", ("kind",), registry=registry)
        self._errors = {each: error.labels(each) for each in ErrorKind}
        event = Counter("cuvee_events", "Events sent in.", ("result",), registry=registry)
        self._events = {each: event.labels(each) for each in EventResult}
        self._client_gone = Counter(
            "cuvee_client_gone", "Requests whose client hung up first.", registry=registry
        )
        self._log_dropped = Counter(
            "cuvee_log_dropped", "Prediction log records dropped, not written.", registry=registry
        )

    def _make_state_metrics(self) -> None:
        registry = self._registry
        self._inflight = Gauge(
            "cuvee_inflight_requests",
            "Requests being answered now, over all live workers.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._breaker = Gauge(
            "cuvee_breaker_state",
            "Breaker of the online store: 0 closed, 1 half open, 2 open; the worst live worker.",
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._model = Gauge(
            "cuvee_model_info",
            "1 for the model version that is serving, 0 for those that served before.",
            ("version",),
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._batch = Histogram(
            "cuvee_batch_size",
            "Requests that shared one model run.",
            buckets=BATCH_BUCKETS,
            registry=registry,
        )
        self._lag = Histogram(
            "cuvee_event_loop_lag_seconds",
            "How much later than asked the event loop woke a timer.",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )

    def request(self, route: Route, source: Source | None, status: int, seconds: float) -> None:
        """Count one answered request; `source` is None where no ladder was climbed."""
        duration = self._durations.get((route, source))
        if duration is None:
            duration = self._duration.labels(route, source or _NO_SOURCE)
            self._durations[route, source] = duration
        duration.observe(seconds)
        (self._statuses.get((route, status)) or self._status(route, status)).inc()
        if seconds > SLOW_REQUEST_S and route in SHOPPER_ROUTES:
            self._slow.inc()

    def _status(self, route: Route, status: int) -> Counter:
        known = status in _STATUSES
        child = self._requests.labels(route, str(status) if known else _OTHER_STATUS)
        if known:
            self._statuses[route, status] = child
        return child

    def stage(self, stage: Stage, seconds: float) -> None:
        """Record that `stage` of one recommendation took `seconds`."""
        self._stages[stage].observe(seconds)

    def cache(self, result: CacheResult) -> None:
        """Count one look into the cache."""
        self._caches[result].inc()

    def fallback(self, reason: Reason) -> None:
        """Count one answer from below the model."""
        self._fallbacks[reason].inc()

    def error(self, kind: ErrorKind) -> None:
        """Count one internal error."""
        self._errors[kind].inc()

    def events(self, accepted: int, duplicates: int) -> None:
        """Count the events of one accepted post."""
        self._events[EventResult.ACCEPTED].inc(accepted)
        self._events[EventResult.DUPLICATE].inc(duplicates)

    def client_gone(self) -> None:
        """Count one request whose client hung up before its answer."""
        self._client_gone.inc()

    def log_dropped(self, records: int = 1) -> None:
        """Count prediction log records that were dropped."""
        self._log_dropped.inc(records)

    def inflight(self, requests: int) -> None:
        """Set how many requests this worker is answering now."""
        self._inflight.set(requests)

    def inflight_inc(self) -> None:
        """One more request is being answered."""
        self._inflight.inc()

    def inflight_dec(self) -> None:
        """One request fewer is being answered."""
        self._inflight.dec()

    def breaker(self, state: BreakerState) -> None:
        """Set the state of this worker's breaker."""
        self._breaker.set(_BREAKER_LEVELS[state])

    def batch(self, requests: int) -> None:
        """Record that one model run answered `requests`."""
        self._batch.observe(requests)

    def loop_lag(self, seconds: float) -> None:
        """Record how late the event loop woke a timer; negative counts as on time."""
        self._lag.observe(max(seconds, 0.0))

    def model(self, version: str | None) -> None:
        """Name the version that serves from now on, None for no model; the one before goes to 0."""
        if self._version is not None and self._version != version:
            self._model.labels(self._version).set(0)
        if version is not None:
            self._model.labels(version).set(1)
        self._version = version
