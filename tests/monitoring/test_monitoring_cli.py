"""The room's door shows a running service's window."""

import json
from pathlib import Path

from click.testing import CliRunner

from monitoring.__main__ import cli
from monitoring.labels import Source
from monitoring.realtime import RealTimeMonitor
from monitoring.window_command import WINDOW_FOLDER


def test_window_shows_live_workers(tmp_path: Path) -> None:
    """The figures of a worker that is alive are printed for a person and as JSON."""
    monitor = RealTimeMonitor(tmp_path / WINDOW_FOLDER)
    monitor.record(0.25, Source.SEGMENT, fallback=True)

    text = CliRunner().invoke(cli, ["window", "--home", str(tmp_path)])
    whole = CliRunner().invoke(cli, ["window", "--home", str(tmp_path), "--json"])
    monitor.close()

    assert "request_count     1" in text.output
    assert "from segment      1" in text.output
    assert "high_latency      1" in text.output
    assert json.loads(whole.output)["fallback_rate"] == 1.0


def test_no_worker_is_said(tmp_path: Path) -> None:
    """Without a live worker there is an error line and exit code 2."""
    done = CliRunner().invoke(cli, ["window", "--home", str(tmp_path)])

    assert done.exit_code == 2
    assert done.output.startswith("error: no worker is serving")
