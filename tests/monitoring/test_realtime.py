"""The rolling minute: figures, rolling, clocks that jump, alerts."""

import json
import math
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.labels import Source
from monitoring.realtime import ALERT_INTERVAL_S, Alert, RealTimeMonitor
from monitoring.snapshot import AlertKind

CYCLE = (Source.CACHE, Source.MODEL, Source.SEGMENT, None)


class Clock:
    """A clock that only moves when told."""

    def __init__(self) -> None:
        """Start some time after boot."""
        self.now = 1_000.25

    def __call__(self) -> float:
        """Return the reading."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock at 1,000.25 s."""
    return Clock()


@pytest.fixture
def told() -> list[Alert]:
    """Return where the callback puts its alerts."""
    return []


@pytest.fixture
def monitor(tmp_path: Path, clock: Clock, told: list[Alert]) -> Iterator[RealTimeMonitor]:
    """Return a monitor with a file under `tmp_path`."""
    made = RealTimeMonitor(tmp_path, on_alert=told.append, clock=clock, wall=clock)
    yield made
    made.close()


def test_no_traffic_is_zero_and_null(monitor: RealTimeMonitor) -> None:
    """Without a request there are counts and no rates, and the result is valid JSON."""
    snapshot = monitor.snapshot()

    assert snapshot.request_count == 0
    assert snapshot.avg_latency_ms is None
    assert snapshot.p95_latency_ms is None
    assert snapshot.fallback_rate is None
    assert "NaN" not in json.dumps(snapshot.as_dict(), allow_nan=False)


def test_figures_of_a_window(monitor: RealTimeMonitor) -> None:
    """Counts and rates are exact, the average is, quantiles within a bin's half width."""
    draw = random.Random(7)
    latencies = [draw.lognormvariate(math.log(0.012), 0.8) for _ in range(5_000)]
    for index, latency in enumerate(latencies):
        monitor.record(latency, CYCLE[index % 4], error=index % 100 == 0)

    snapshot = monitor.snapshot()

    ordered = sorted(latencies)
    assert snapshot.request_count == 5_000
    assert snapshot.avg_latency_ms == pytest.approx(sum(latencies) / 5, rel=1e-4)
    assert snapshot.p50_latency_ms == pytest.approx(ordered[2_499] * 1e3, rel=0.028)
    assert snapshot.p95_latency_ms == pytest.approx(ordered[4_749] * 1e3, rel=0.028)
    assert snapshot.p99_latency_ms == pytest.approx(ordered[4_949] * 1e3, rel=0.028)
    assert snapshot.cache_hit_rate == 0.25
    assert snapshot.error_rate == 0.01
    assert snapshot.fallback_rate == 0.0
    assert snapshot.sources == {"cache": 1_250, "model": 1_250, "segment": 1_250, "global": 0}


def test_the_window_rolls(monitor: RealTimeMonitor, clock: Clock) -> None:
    """After sixty seconds a request is gone; a narrower window loses it sooner."""
    monitor.record(0.010)
    clock.now += 59

    assert monitor.snapshot().request_count == 1
    assert monitor.snapshot(10).request_count == 0

    clock.now += 1

    assert monitor.snapshot().request_count == 0


def test_the_minute_second_by_second(monitor: RealTimeMonitor, clock: Clock) -> None:
    """Seconds that are over are told, the present one is not; an empty one has no latency."""
    for latency, times in ((0.004, 9), (0.040, 1)):
        for _ in range(times):
            monitor.record(latency, Source.MODEL)
    clock.now += 2
    monitor.record(0.008, Source.CACHE)

    snapshot, seconds = monitor.minute()

    assert snapshot.request_count == 11
    assert seconds.requests == (*[0] * 58, 10, 0)
    told = [each[-2:] for each in (seconds.p50_ms, seconds.p95_ms, seconds.p99_ms)]
    assert [last for _, last in told] == [None] * 3
    assert [each for each, _ in told] == pytest.approx([4, 40, 40], rel=0.028)
    clock.now += 1
    _, seconds = monitor.minute()
    assert seconds.requests[-3:] == (10, 0, 1)
    assert seconds.p50_ms[-1] == monitor.snapshot(2).p50_latency_ms
    clock.now += 60
    assert not any(monitor.minute()[1].requests)


def test_ten_minutes_stay_in_constant_memory(
    monitor: RealTimeMonitor, clock: Clock, tmp_path: Path
) -> None:
    """The ring is reused: the file keeps its size and the window its sixty seconds."""
    (file,) = tmp_path.glob("*.bin")
    size = file.stat().st_size
    for _ in range(600):
        monitor.record(0.010)
        clock.now += 1
    clock.now -= 1

    assert monitor.snapshot().request_count == 60
    assert file.stat().st_size == size


@pytest.mark.parametrize("step", [-3_600.0, -990.0, -1e9, 3_600.0, 1e9, -0.5, -5.0])
def test_a_clock_that_jumps_does_no_harm(
    monitor: RealTimeMonitor, clock: Clock, step: float
) -> None:
    """Whatever the clock does, what comes after it is counted once and nothing raises."""
    for _ in range(5):
        monitor.record(0.010)
        clock.now += 1
    clock.now += step
    before = monitor.snapshot().request_count

    monitor.record(0.010)

    assert before <= 5
    assert monitor.snapshot().request_count == before + 1
    clock.now += 70
    assert monitor.snapshot().request_count == 0


@pytest.mark.parametrize("latency", [math.nan, math.inf, -1.0, 0.0, 1e-9, 60.0, 1e12])
def test_impossible_latencies_are_bounded(monitor: RealTimeMonitor, latency: float) -> None:
    """No latency can raise or leave the bins."""
    monitor.record(latency)

    snapshot = monitor.snapshot()
    assert snapshot.request_count == 1
    assert snapshot.p99_latency_ms is not None
    assert 0.1 <= snapshot.p99_latency_ms <= 62_000


def test_alerts_are_immediate(monitor: RealTimeMonitor, told: list[Alert], clock: Clock) -> None:
    """The first slow answer and the first fallback are told at once, with their request."""
    monitor.record(0.2)
    assert told == []

    monitor.record(0.2004, request_id="r1")
    monitor.record(0.010, fallback=True, request_id="r2")

    assert told == [
        Alert(AlertKind.HIGH_LATENCY, clock.now, 200.4, "r1", 0),
        Alert(AlertKind.FALLBACK_USED, clock.now, 10.0, "r2", 0),
    ]


def test_alerts_are_not_one_line_per_request(
    monitor: RealTimeMonitor, told: list[Alert], clock: Clock
) -> None:
    """A storm is one line each ten seconds that says how many were left out."""
    for _ in range(1_000):
        monitor.record(0.010, fallback=True)
    clock.now += ALERT_INTERVAL_S
    monitor.record(0.010, fallback=True)

    assert [alert.suppressed for alert in told] == [0, 999]


def test_alerts_in_the_snapshot(monitor: RealTimeMonitor, clock: Clock) -> None:
    """The snapshot counts alerts in the window and since the start, newest first, bounded."""
    for _ in range(40):
        monitor.record(0.3)
        clock.now += 0.125
    clock.now += 120
    monitor.record(0.4)

    slow, fallback = monitor.snapshot().alerts

    assert (slow.kind, slow.count, slow.total) == (AlertKind.HIGH_LATENCY, 1, 41)
    assert slow.first_at == 1_000.25
    assert slow.last_at == clock.now
    assert [alert.latency_ms for alert in slow.recent[:2]] == [400.0, 300.0]
    assert len(slow.recent) == 32
    assert (fallback.count, fallback.first_at, fallback.recent) == (0, None, ())


@pytest.mark.parametrize("window_s", [0, -1, 61])
def test_windows_beyond_the_ring_are_refused(monitor: RealTimeMonitor, window_s: int) -> None:
    """A window the ring cannot hold is an error, not a wrong figure."""
    with pytest.raises(ValueError, match="expected 1 to 60"):
        monitor.snapshot(window_s)


def test_without_a_directory(clock: Clock) -> None:
    """A single process can keep its window in memory."""
    monitor = RealTimeMonitor(None, clock=clock)
    monitor.record(0.010)

    assert monitor.snapshot().request_count == 1
    assert monitor.snapshot().workers == 1
    assert not monitor.shared
    monitor.close()


def test_an_unusable_directory_does_not_stop_a_worker(tmp_path: Path, clock: Clock) -> None:
    """Where no file can be made the worker keeps its window to itself."""
    (tmp_path / "taken").touch()
    monitor = RealTimeMonitor(tmp_path / "taken", clock=clock)
    monitor.record(0.010)

    assert not monitor.shared
    assert monitor.snapshot().request_count == 1
    monitor.close()
