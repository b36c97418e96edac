"""What became of requests on the way: cached, fallen back, failed, or of no use any more."""

import itertools

from prometheus_client import CollectorRegistry, Counter

from monitoring.labels import CacheResult, ErrorKind, EventResult, LogKind, Reason
from monitoring.tallies import Count


class OutcomeMetrics:
    """The metrics of outcomes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register them with `registry`."""
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
        dropped = Counter(
            "cuvee_log_dropped", "Log records dropped, not written.", ("log",), registry=registry
        )
        self._log_dropped = {each: dropped.labels(each) for each in LogKind}
        self._spans_dropped = Counter(
            "cuvee_spans_dropped", "Spans of traces that were not sent.", registry=registry
        )

    def cache(self, result: CacheResult) -> None:
        """Count one look into the cache."""
        self._caches[result].total += 1

    def fallback(self, reason: Reason) -> None:
        """Count one answer from below the model."""
        self._fallbacks[reason].total += 1

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

    def log_dropped(self, log: LogKind, records: int = 1) -> None:
        """Count records of a log that were dropped."""
        self._log_dropped[log].inc(records)

    def spans_dropped(self, spans: int) -> None:
        """Count spans that were not sent; on any thread."""
        self._spans_dropped.inc(spans)

    def enter(self) -> None:
        """Tell Prometheus what was noted since the last time."""
        for count in itertools.chain(self._caches.values(), self._fallbacks.values()):
            count.enter()
