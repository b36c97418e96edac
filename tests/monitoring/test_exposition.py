"""Several workers share one exposition; each test runs real worker processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitoring.exposition import DIRECTORY_VARIABLE

WORKER = """
import sys
from prometheus_client import CollectorRegistry
from monitoring.exposition import render
from monitoring.labels import BreakerState, Reason, Route, Source
from monitoring.metrics import Metrics
metrics = Metrics(registry := CollectorRegistry())
metrics.model(sys.argv[1])
for _ in range(3):
    metrics.inflight_inc()
metrics.fallback(Reason.OVERLOAD)
metrics.request(Route.RECOMMENDATIONS, Source.MODEL, 200, 0.01)
metrics.breaker(BreakerState.OPEN if sys.argv[1] == "v2" else BreakerState.CLOSED)
metrics.enter()
print("ready", flush=True)
for line in sys.stdin:
    sys.stdout.write(render(registry)[0].decode() + "# EOF\\n")
    sys.stdout.flush()
"""

PARENT = """
import sys
from pathlib import Path
from monitoring.exposition import prepare_directory
assert not any(name.startswith("prometheus_client") for name in sys.modules)
prepare_directory(Path(sys.argv[1]))
from prometheus_client import values
print(values.ValueClass.__qualname__)
"""

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Worker:
    """One serving process that renders when asked."""

    def __init__(self, directory: Path, version: str) -> None:
        """Start it and wait until its metrics stand."""
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, version],
            env=os.environ | {DIRECTORY_VARIABLE: str(directory), "PYTHONPATH": str(Path.cwd())},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def scrape(self) -> Samples:
        """Return the samples this worker shows."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        text = "".join(iter(self.process.stdout.readline, "# EOF\n"))
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def kill(self) -> None:
        """End it as the kernel would, and reap it."""
        if self.process.returncode is None:
            self.process.kill()
            self.process.communicate()


def _of(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[tuple[Worker, Worker]]:
    """Return two workers that share a directory and serve different versions."""
    both = Worker(tmp_path, "v1"), Worker(tmp_path, "v2")
    yield both
    for worker in both:
        worker.kill()


def test_any_worker_shows_the_sum_of_all(workers: tuple[Worker, Worker]) -> None:
    """Counters, histograms and live gauges of two workers add up in either's exposition."""
    for worker in workers:
        samples = worker.scrape()
        assert _of(samples, "cuvee_fallback_total", reason="overload") == 2
        assert _of(samples, "cuvee_fallback_total", reason="deadline") == 0
        assert _of(samples, "cuvee_inflight_requests") == 6
        assert _of(samples, "cuvee_breaker_state") == 2
        assert _of(samples, "cuvee_model_info", version="v1") == 1
        labels = {"route": "recommendations", "source": "model"}
        assert _of(samples, "cuvee_request_duration_seconds_count", **labels) == 2
        assert not [name for name, of in samples if "pid" in dict(of)]


def test_a_killed_worker_leaves_its_totals_and_takes_its_gauges(
    workers: tuple[Worker, Worker],
) -> None:
    """What a dead worker counted stays counted; what it was doing is no longer being done."""
    survivor, victim = workers
    victim.kill()

    samples = survivor.scrape()

    assert _of(samples, "cuvee_fallback_total", reason="overload") == 2
    assert _of(samples, "cuvee_inflight_requests") == 3
    assert _of(samples, "cuvee_breaker_state") == 0
    assert _of(samples, "cuvee_model_info", version="v2") is None
    assert _of(samples, "cuvee_model_info", version="v1") == 1


def test_a_starting_worker_does_not_break_the_scrape(
    tmp_path: Path, workers: tuple[Worker, Worker]
) -> None:
    """A metric file that exists but has no content yet is left out."""
    (tmp_path / "counter_1.db").touch()

    assert _of(workers[0].scrape(), "cuvee_inflight_requests") == 6


def test_mark_worker_dead_removes_only_that_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process manager's hook deletes the live gauges of the process it names."""
    from monitoring.exposition import mark_worker_dead

    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    for name in ("gauge_livesum_12.db", "gauge_livemax_12.db", "gauge_livesum_112.db"):
        (tmp_path / name).touch()
    (tmp_path / "counter_12.db").touch()

    mark_worker_dead(12)

    assert {"gauge_livesum_112.db", "counter_12.db"} == {each.name for each in tmp_path.iterdir()}


def test_prepare_directory_comes_before_the_choice(tmp_path: Path) -> None:
    """Importing the module decides nothing; after preparing, values go to files; old ones go."""
    shared = tmp_path / "run" / "metrics"
    shared.mkdir(parents=True)
    (shared / "counter_1.db").write_bytes(b"old")
    (shared / "keep.txt").touch()
    environment = {key: value for key, value in os.environ.items() if key != DIRECTORY_VARIABLE}

    done = subprocess.run(
        [sys.executable, "-c", PARENT, str(shared)],
        env=environment | {"PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "MmapedValue" in done.stdout
    assert [each.name for each in shared.iterdir()] == ["keep.txt"]
