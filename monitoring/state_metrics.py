"""How a worker is now: what it is doing, what serves, and whether its parts keep up."""

from typing import Final

from prometheus_client import CollectorRegistry, Gauge, Histogram

from monitoring.labels import BreakerState
from monitoring.latency import LATENCY_BUCKETS_S

BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)

_BREAKER_LEVELS = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


class StateMetrics:
    """The metrics of a worker's state."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register them with `registry`."""
        self._version: str | None = None
        self._under_way = 0
        self._breaker_state: BreakerState | None = None
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
        self._fallback_share = Gauge(
            "cuvee_fallback_share_ratio",
            "Share of shoppers that get popular items for a while, on purpose.",
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

    def model(self, version: str | None) -> None:
        """Name the version that serves from now on, None for no model; the one before goes to 0."""
        if self._version is not None and self._version != version:
            self._model.labels(self._version).set(0)
        if version is not None:
            self._model.labels(version).set(1)
        self._version = version

    def fallback_share(self, share: float) -> None:
        """Set the share of shoppers that get popular items on purpose."""
        self._fallback_share.set(share)

    def batch(self, requests: int) -> None:
        """Record that one model run answered `requests`."""
        self._batch.observe(requests)

    def loop_lag(self, seconds: float) -> None:
        """Record how late the event loop woke a timer; negative counts as on time."""
        self._lag.observe(max(seconds, 0.0))

    def enter(self) -> None:
        """Tell Prometheus what was noted since the last time."""
        self._inflight.set(self._under_way)
