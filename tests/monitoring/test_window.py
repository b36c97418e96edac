"""Windows of several real processes merge exactly; those of the dead go."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from monitoring.realtime import RealTimeMonitor
from monitoring.window import SIZE_BYTES, WindowFile, read_windows

WORKER = """
import sys
from pathlib import Path
from monitoring.labels import Source
from monitoring.realtime import RealTimeMonitor
monitor = RealTimeMonitor(Path(sys.argv[1]), clock=lambda: 500.0)
for _ in range(int(sys.argv[2])):
    monitor.record(0.020, Source.CACHE)
print("ready", flush=True)
sys.stdin.read()
"""


def _worker(directory: Path, requests: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(directory), str(requests)],
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_any_worker_sees_all_live_ones(tmp_path: Path) -> None:
    """Requests of three processes add up; a killed one's window and file disappear."""
    monitor = RealTimeMonitor(tmp_path, clock=lambda: 500.5)
    monitor.record(0.040)
    first, second = _worker(tmp_path, 30), _worker(tmp_path, 9)

    together = monitor.snapshot()
    first.kill()
    first.communicate()
    after = monitor.snapshot()
    second.kill()
    second.communicate()

    assert (together.workers, together.request_count) == (3, 40)
    assert together.cache_hit_rate == 39 / 40
    assert together.avg_latency_ms == pytest.approx((39 * 20 + 40) / 40)
    assert (after.workers, after.request_count) == (2, 10)
    assert not (tmp_path / f"{first.pid}.bin").exists()
    monitor.close()


def test_close_removes_the_file(tmp_path: Path) -> None:
    """A worker that ends in order leaves nothing behind."""
    file = WindowFile(tmp_path)
    assert [f"{os.getpid()}.bin"] == [each.name for each in tmp_path.iterdir()]

    file.close()

    assert list(tmp_path.iterdir()) == []


def test_foreign_files_are_not_believed(tmp_path: Path) -> None:
    """A locked file of another layout is skipped, an unlocked one removed."""
    file = WindowFile(tmp_path)
    assert len(list(read_windows(tmp_path))) == 1
    file.cells[0] = 7
    (tmp_path / "1.bin").write_bytes(b"x" * 9)
    (tmp_path / "2.bin").write_bytes(bytes(SIZE_BYTES))

    assert list(read_windows(tmp_path)) == []
    assert [f"{os.getpid()}.bin"] == [each.name for each in tmp_path.iterdir()]
    file.close()


def test_a_missing_directory_holds_no_window(tmp_path: Path) -> None:
    """Somebody emptied the run directory: no worker is seen, nothing raises."""
    assert list(read_windows(tmp_path / "gone")) == []
