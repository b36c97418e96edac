"""The metrics of one worker: names, buckets, children at zero, methods."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from monitoring.exposition import render
from monitoring.labels import (
    BreakerState,
    CacheResult,
    ErrorKind,
    LogKind,
    Reason,
    Route,
    Source,
    Stage,
)
from monitoring.latency import LATENCY_BUCKETS_S
from monitoring.metrics import Metrics
from monitoring.tallies import Count, Observations


@pytest.fixture
def registry() -> CollectorRegistry:
    """Return an empty registry."""
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    """Return metrics registered there."""
    return Metrics(registry)


@pytest.mark.usefixtures("metrics")
def test_every_closed_label_exists_at_zero(registry: CollectorRegistry) -> None:
    """A series that could fire an alert is there before its first increase."""
    wanted: list[tuple[str, dict[str, str]]] = [
        *(("cuvee_fallback_total", {"reason": str(each)}) for each in Reason),
        *(("cuvee_errors_total", {"kind": str(each)}) for each in ErrorKind),
        *(("cuvee_cache_total", {"result": str(each)}) for each in CacheResult),
        *(("cuvee_stage_duration_seconds_count", {"stage": str(each)}) for each in Stage),
        *(
            ("cuvee_requests_total", {"route": "recommendations", "status": status})
            for status in ("500", "503")
        ),
        *(("cuvee_canary_moves_total", {"move": move}) for move in ("advance", "stop")),
        ("cuvee_canary_share_ratio", {}),
        ("cuvee_fallback_share_ratio", {}),
        ("cuvee_slow_requests_total", {}),
        ("cuvee_client_gone_total", {}),
        *(("cuvee_log_dropped_total", {"log": str(each)}) for each in LogKind),
    ]

    assert [0.0] * len(wanted) == [registry.get_sample_value(*each) for each in wanted]


def test_objectives_are_exact_buckets() -> None:
    """50, 100 and 200 ms are bucket bounds, so shares at these edges are exact."""
    assert {0.05, 0.1, 0.2} <= set(LATENCY_BUCKETS_S)
    assert sorted(LATENCY_BUCKETS_S) == list(LATENCY_BUCKETS_S)


def test_request_moves_duration_and_status(metrics: Metrics, registry: CollectorRegistry) -> None:
    """One answer is one observation of its rung and one count of its status."""
    metrics.request(Route.RECOMMENDATIONS, Source.MODEL, 200, 0.03)
    metrics.enter()

    labels = {"route": "recommendations", "source": "model"}
    name = "cuvee_request_duration_seconds"
    assert registry.get_sample_value(f"{name}_bucket", labels | {"le": "0.025"}) == 0
    assert registry.get_sample_value(f"{name}_bucket", labels | {"le": "0.05"}) == 1
    status = {"route": "recommendations", "status": "200"}
    assert registry.get_sample_value("cuvee_requests_total", status) == 1


@pytest.mark.parametrize(
    ("route", "seconds", "slow"),
    [
        (Route.RECOMMENDATIONS, 0.2, 0),
        (Route.RECOMMENDATIONS, 0.2001, 1),
        (Route.POPULAR, 0.3, 1),
        (Route.EVENTS, 0.3, 0),
    ],
)
def test_slow_is_above_200_ms_on_a_page(
    metrics: Metrics, registry: CollectorRegistry, route: Route, seconds: float, slow: int
) -> None:
    """Only what a page waits for can be slow, and 200 ms itself is not."""
    metrics.request(route, None, 200, seconds)

    assert registry.get_sample_value("cuvee_slow_requests_total") == slow


def test_statuses_stay_a_closed_set(metrics: Metrics, registry: CollectorRegistry) -> None:
    """A status that HTTP does not know shares one series."""
    metrics.request(Route.DOCS, None, 404, 0.001)
    metrics.request(Route.DOCS, None, 777, 0.001)
    metrics.request(Route.DOCS, None, 778, 0.001)
    metrics.enter()

    value = registry.get_sample_value
    assert value("cuvee_requests_total", {"route": "docs", "status": "404"}) == 1
    assert value("cuvee_requests_total", {"route": "docs", "status": "other"}) == 2


def test_the_old_model_goes_to_zero(metrics: Metrics, registry: CollectorRegistry) -> None:
    """After a swap one version serves, after losing it none."""
    metrics.model("v1")
    metrics.model("v2")

    assert registry.get_sample_value("cuvee_model_info", {"version": "v1"}) == 0
    assert registry.get_sample_value("cuvee_model_info", {"version": "v2"}) == 1

    metrics.model(None)

    assert registry.get_sample_value("cuvee_model_info", {"version": "v2"}) == 0


def test_small_methods(metrics: Metrics, registry: CollectorRegistry) -> None:
    """Each method moves its own metric."""
    metrics.stage(Stage.RANK, 0.002)
    metrics.cache(CacheResult.STALE)
    metrics.fallback(Reason.DEADLINE)
    metrics.error(ErrorKind.MODEL)
    metrics.events(3, 2)
    metrics.client_gone()
    metrics.log_dropped(LogKind.LISTS, 4)
    metrics.inflight_inc()
    metrics.inflight_inc()
    metrics.inflight_dec()
    metrics.breaker(BreakerState.OPEN)
    metrics.batch(32)
    metrics.missing_features([0, 3])
    metrics.loop_lag(-0.001)
    metrics.enter()

    value = registry.get_sample_value
    assert value("cuvee_stage_duration_seconds_sum", {"stage": "rank"}) == 0.002
    assert value("cuvee_cache_total", {"result": "stale"}) == 1
    assert value("cuvee_fallback_total", {"reason": "deadline"}) == 1
    assert value("cuvee_errors_total", {"kind": "model"}) == 1
    assert value("cuvee_events_total", {"result": "accepted"}) == 3
    assert value("cuvee_events_total", {"result": "duplicate"}) == 2
    assert value("cuvee_client_gone_total") == 1
    assert value("cuvee_log_dropped_total", {"log": "lists"}) == 4
    assert value("cuvee_inflight_requests") == 1
    assert value("cuvee_breaker_state") == 2
    assert value("cuvee_batch_size_bucket", {"le": "32.0"}) == 1
    assert value("cuvee_missing_features_bucket", {"le": "2.0"}) == 1
    assert value("cuvee_missing_features_sum") == 3
    assert value("cuvee_event_loop_lag_seconds_sum") == 0


def test_what_is_told_no_more_is_none(metrics: Metrics, registry: CollectorRegistry) -> None:
    """A feature or a group that is gone does not keep its last value for ever."""
    metrics.feature_skew({"a": 0.5, "b": 0.25})
    metrics.feature_skew({"b": 0.125})
    metrics.events_behind({"offline": 7})
    metrics.events_behind({})
    metrics.data_held({"ingest": 2, "materialize": 0})
    value = registry.get_sample_value
    assert value("cuvee_feature_skew_ratio", {"feature": "a"}) == 0
    assert value("cuvee_feature_skew_ratio", {"feature": "b"}) == 0.125
    assert value("cuvee_events_behind", {"group": "offline"}) == 0
    assert value("cuvee_data_held", {"gate": "ingest"}) == 2
    assert value("cuvee_data_held", {"gate": "materialize"}) == 0


@pytest.mark.usefixtures("metrics")
def test_one_worker_shows_its_process(registry: CollectorRegistry) -> None:
    """Memory, processor time and garbage collections are there for a single worker."""
    text, content_type = render(registry)

    assert content_type.startswith("text/plain")
    assert b"\nprocess_resident_memory_bytes " in text
    assert b"\npython_gc_collections_total{" in text


def test_entering_is_observing(registry: CollectorRegistry) -> None:
    """Many durations entered at once leave what as many observations do, and no time twice."""
    one, other = (
        Histogram(name, name, buckets=LATENCY_BUCKETS_S, registry=registry)
        for name in ("one", "other")
    )
    told = [0.0, 0.0005, 0.000500001, 0.05, 0.07, 0.5, 0.50001, 9e9, 0.003, 0.003]
    durations = Observations(one)
    for seconds in told:
        durations.add(seconds)
        other.observe(seconds)
    assert [durations.enter(), durations.enter()] == [len(told), 0]
    for bound in (*LATENCY_BUCKETS_S, float("inf")):
        labels = {"le": str(bound).replace("inf", "+Inf")}
        assert registry.get_sample_value("one_bucket", labels) == registry.get_sample_value(
            "other_bucket", labels
        )
    assert registry.get_sample_value("one_sum") == registry.get_sample_value("other_sum")


def test_a_count_is_entered_once(registry: CollectorRegistry) -> None:
    """What was entered is not entered again."""
    count = Count(Counter("some", "some", registry=registry))
    for total in (3, 3, 5):
        count.total = total
        count.enter()
        assert registry.get_sample_value("some_total") == total
