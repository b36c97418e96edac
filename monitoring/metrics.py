"""Every Prometheus metric of the service, and the methods that move them.

`PROMETHEUS_MULTIPROC_DIR` decides, when this module is first imported, whether values live in
memory (one worker) or in files that all workers share. The table is in docs/metrics.md.
"""

import itertools
import os
from collections.abc import Mapping, Sequence
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
    CanaryMove,
    ErrorKind,
    EventResult,
    Outcome,
    Page,
    Reason,
    Route,
    Source,
    Stage,
    Variant,
)
from monitoring.tallies import Count, Observations

__all__ = [
    "LATENCY_BUCKETS_S",
    "SHOPPER_ROUTES",
    "SLOW_REQUEST_S",
    "BreakerState",
    "CacheResult",
    "ErrorKind",
    "EventResult",
    "Metrics",
    "Page",
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
MISSING_BUCKETS: Final = (0, 1, 2, 4, 8, 16, 32, 64)

# One more line for each counter and histogram, at every scrape, that nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call]

_NO_SOURCE = "none"
_OTHER_STATUS = 0
_STATUSES = frozenset(status.value for status in HTTPStatus)
# These exist at 0 from the start, so that the first failure is an increase and not a new series.
# Series nobody alerts on come with their first request: each costs time at every scrape.
_FIRST_STATUSES = (200, 500, 503)
_BREAKER_LEVELS = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


class Metrics:
    """The metrics of one worker process; label children are made once and kept.

    Methods never raise for a value of their types; call them on the event loop, `stage` and
    `missing_features` on any thread. Those of the request path only take note, see
    `monitoring.tallies`: `enter` tells Prometheus, at every scrape and four times a second.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register every metric with `registry`; in one-worker mode process and GC metrics too."""
        self._registry = registry
        self._version: str | None = None
        self._under_way = 0
        self._breaker_state: BreakerState | None = None
        self._make_request_metrics()
        self._make_outcome_metrics()
        self._make_canary_metrics()
        self._make_state_metrics()
        self._make_data_metrics()
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ and registry is not REGISTRY:
            ProcessCollector(registry=registry)
            registry.register(GC_COLLECTOR)

    def _make_request_metrics(self) -> None:
        duration = Histogram(
            "cuvee_request_duration_seconds",
            "Time from a request being here to its response, by route and ladder rung.",
            ("route", "source"),
            buckets=LATENCY_BUCKETS_S,
            registry=self._registry,
        )
        self._duration = duration
        self._durations: dict[tuple[Route, Source | None], Observations] = {}
        for source in Source:
            self._new_duration(Route.RECOMMENDATIONS, source)
        self._page = Histogram(
            "cuvee_page_duration_seconds",
            "Time from a request for a list being here to its response, by page and ladder rung.",
            ("page", "source"),
            buckets=LATENCY_BUCKETS_S,
            registry=self._registry,
        )
        self._pages: dict[tuple[Page, Source], Observations] = {}
        self._requests = Counter(
            "cuvee_requests",
            "Requests answered, by route and HTTP status.",
            ("route", "status"),
            registry=self._registry,
        )
        self._statuses: dict[tuple[Route, int], Count] = {}
        for status in _FIRST_STATUSES:
            self._new_status(Route.RECOMMENDATIONS, status)
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
        self._stages = {each: Observations(stage.labels(each)) for each in Stage}

    def _make_outcome_metrics(self) -> None:
        registry = self._registry
        cache = Counter("cuvee_cache", "Looks into the cache.", ("result",), registry=registry)
        self._caches = {each: Count(cache.labels(each)) for each in CacheResult}
        fallback = Counter(
            "cuvee_fallback", "Answers from below the model.", ("reason",), registry=registry
        )
        self._fallbacks = {each: Count(fallback.labels(each)) for each in Reason}
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

    def _make_canary_metrics(self) -> None:
        registry = self._registry
        self._canary_answers = Counter(
            "cuvee_canary_answers",
            "Requests for lists while a model is on trial.",
            ("variant", "outcome"),
            registry=registry,
        )
        self._variants: dict[tuple[Variant, Outcome], Count] = {}
        moves = Counter(
            "cuvee_canary_moves",
            "What was done with a model on trial without anybody telling so.",
            ("move",),
            registry=registry,
        )
        self._canary_moves = {each: moves.labels(each) for each in CanaryMove}
        self._canary_share = Gauge(
            "cuvee_canary_share_ratio",
            "Share of shoppers that get the model on trial.",
            multiprocess_mode="livemax",
            registry=registry,
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

    def _make_data_metrics(self) -> None:
        registry = self._registry
        self._missing = Observations(
            Histogram(
                "cuvee_missing_features",
                "Features of a shopper that had their default when a model ranked.",
                buckets=MISSING_BUCKETS,
                registry=registry,
            )
        )
        self._skew = Gauge(
            "cuvee_feature_skew_ratio",
            "Share of served values of a feature that differ from what the tables say.",
            ("feature",),
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._held = Gauge(
            "cuvee_data_held",
            "Batches, or versions of the tables, that broke rules of data quality and wait.",
            ("gate",),
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._gates: set[str] = set()
        self._skewed: set[str] = set()
        self._groups: set[str] = set()
        self._behind = Gauge(
            "cuvee_events_behind",
            "Events in the stream that a group of consumers has yet to finish.",
            ("group",),
            multiprocess_mode="livemax",
            registry=registry,
        )

    def request(self, route: Route, source: Source | None, status: int, seconds: float) -> None:
        """Count one answered request; `source` is None where no ladder was climbed."""
        duration = self._durations.get((route, source)) or self._new_duration(route, source)
        duration.add(seconds)
        (self._statuses.get((route, status)) or self._new_status(route, status)).total += 1
        if seconds > SLOW_REQUEST_S and route in SHOPPER_ROUTES:
            self._slow.inc()

    def _new_duration(self, route: Route, source: Source | None) -> Observations:
        duration = Observations(self._duration.labels(route, source or _NO_SOURCE))
        self._durations[route, source] = duration
        return duration

    def _new_status(self, route: Route, status: int) -> Count:
        if status not in _STATUSES:
            status = _OTHER_STATUS
        if (route, status) not in self._statuses:
            child = self._requests.labels(route, str(status or "other"))
            self._statuses[route, status] = Count(child)
        return self._statuses[route, status]

    def page(self, page: Page, source: Source, seconds: float) -> None:
        """Count one list by the page it is for."""
        seen = self._pages.get((page, source))
        if seen is None:
            seen = self._pages[page, source] = Observations(self._page.labels(page, source))
        seen.add(seconds)

    def stage(self, stage: Stage, seconds: float, times: int = 1) -> None:
        """Record that `stage` took `seconds` for so many recommendations together."""
        self._stages[stage].values += (seconds,) * times

    def cache(self, result: CacheResult) -> None:
        """Count one look into the cache."""
        self._caches[result].total += 1

    def fallback(self, reason: Reason) -> None:
        """Count one answer from below the model."""
        self._fallbacks[reason].total += 1

    def canary_answer(self, variant: Variant, outcome: Outcome) -> None:
        """Count one request while a model is on trial."""
        count = self._variants.get((variant, outcome))
        if count is None:
            count = Count(self._canary_answers.labels(variant, outcome))
            self._variants[variant, outcome] = count
        count.total += 1

    def canary_move(self, move: CanaryMove) -> None:
        """Count what was done with a model on trial."""
        self._canary_moves[move].inc()

    def canary_share(self, share: float) -> None:
        """Set the share of shoppers that get the model on trial."""
        self._canary_share.set(share)

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

    def inflight_inc(self) -> None:
        """One more request is being answered."""
        self._under_way += 1

    def inflight_dec(self) -> None:
        """One request fewer is being answered."""
        self._under_way -= 1

    def breaker(self, state: BreakerState) -> None:
        """Set the state of this worker's breaker."""
        if state is not self._breaker_state:
            self._breaker_state = state
            self._breaker.set(_BREAKER_LEVELS[state])

    def batch(self, requests: int) -> None:
        """Record that one model run answered `requests`."""
        self._batch.observe(requests)

    def missing_features(self, counts: Sequence[int]) -> None:
        """Record how many features of each ranked shopper were not known."""
        self._missing.values += counts

    def feature_skew(self, ratios: Mapping[str, float]) -> None:
        """Set how often each feature differs from what the tables say."""
        _set_all(self._skew, self._skewed, ratios)

    def data_held(self, counts: Mapping[str, int]) -> None:
        """Set how much data each gate holds back."""
        _set_all(self._held, self._gates, counts)

    def events_behind(self, counts: Mapping[str, int]) -> None:
        """Set how many events each group of consumers has yet to finish."""
        _set_all(self._behind, self._groups, counts)

    def loop_lag(self, seconds: float) -> None:
        """Record how late the event loop woke a timer; negative counts as on time."""
        self._lag.observe(max(seconds, 0.0))

    def enter(self) -> None:
        """Tell Prometheus what was noted since the last time."""
        seen = (self._durations, self._pages, self._stages)
        for each in itertools.chain(*(kind.values() for kind in seen), (self._missing,)):
            each.enter()
        counts = (self._statuses, self._caches, self._fallbacks, self._variants)
        for count in itertools.chain.from_iterable(each.values() for each in counts):
            count.enter()
        self._inflight.set(self._under_way)

    def model(self, version: str | None) -> None:
        """Name the version that serves from now on, None for no model; the one before goes to 0."""
        if self._version is not None and self._version != version:
            self._model.labels(self._version).set(0)
        if version is not None:
            self._model.labels(version).set(1)
        self._version = version


def _set_all(gauge: Gauge, known: set[str], values: Mapping[str, float]) -> None:
    """Set each label's value, and 0 where there is none any more; `known` are all there ever were.

    A child that is removed goes on being told by the files that several workers share.
    """
    known.update(values)
    for label in known:
        gauge.labels(label).set(values.get(label, 0))
