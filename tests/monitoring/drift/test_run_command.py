"""`python -m monitoring run` and `drift`: processes that may be killed, and what they show."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from monitoring.__main__ import cli
from monitoring.drift.detector import Finding, State
from monitoring.drift.report import Bin, Report, Told
from monitoring.run_command import alone
from tests.support.process import PATIENCE_S, free_port
from tests.support.watched import WatchedShop

ROOT = Path(__file__).parents[3]


def _eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


@contextmanager
def _running(home: Path, url: str, port: int) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "monitoring", "run", "--every", "0.05", "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "CUVEE_HOME": str(home), "CUVEE_REDIS_URL": url},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def _said(process: "subprocess.Popen[str]", *events: str) -> dict[str, str]:
    """Return the next line about one of these; what else is judged says things, too."""
    assert process.stderr is not None
    while True:
        told: dict[str, str] = json.loads(process.stderr.readline())
        if told["event"] in events:
            return told


def _metrics(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            told: str = answer.read().decode()
            return told
    except OSError:
        return ""


def _counted(url: str) -> int:
    with Redis.from_url(url) as client:
        keys = [key for key in client.keys("{drift}:*") if not key.endswith(b":at")]
        return sum(
            int(count)
            for key in keys
            for field, count in client.hgetall(key).items()
            if field.startswith(b"s:")
        )


@pytest.mark.slow
def test_killed_and_started_again(tmp_path: Path, valkey: object) -> None:
    """Each line is counted once, whenever it dies; SIGTERM ends it in peace."""
    url = valkey.url  # type: ignore[attr-defined] # an embedded server
    shop, port = WatchedShop(tmp_path), free_port()
    version = shop.promote()
    at_ms = int(time.time() * 1_000) - 3 * 3_600_000
    shop.serve("a", at_ms, 300)
    with _running(tmp_path, url, port) as process:
        _eventually(lambda: _counted(url) > 0)
        process.send_signal(signal.SIGKILL)
        process.wait()
    shop.serve("a", at_ms, 200, {"recent_spend": 2.0})
    with _running(tmp_path, url, port) as process:
        _eventually(lambda: _counted(url) == 500)
        _eventually(lambda: "cuvee_drift_watching 1.0" in _metrics(port))
        assert re.search(r'cuvee_drift_state\{feature="recent_spend"\} ', _metrics(port))
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
        assert _said(process, "watching")["version"] == version
    assert _counted(url) == 500


def test_it_says_what_it_waits_for(tmp_path: Path, valkey: object) -> None:
    """No model, then one without a reference, then one with it."""
    url, port, shop = valkey.url, free_port(), WatchedShop(tmp_path)  # type: ignore[attr-defined]
    with _running(tmp_path, url, port) as process:
        assert _said(process, "blind")["reason"] == "there is no production model"
        shop.promote(with_reference=False)
        assert "holds no reference" in _said(process, "blind")["reason"]
        assert "cuvee_drift_watching 0.0" in _metrics(port)
        shop.promote()
        assert _said(process, "watching")
        _eventually(lambda: "cuvee_performance_watching 0.0" in _metrics(port))
        assert "_created" not in _metrics(port)  # as at the service: nobody reads these


def _run(home: Path, *words: str, **variables: str) -> Result:
    return CliRunner().invoke(cli, words, env={"CUVEE_HOME": str(home), **variables})


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    """No store, a policy that is none, a home that is watched already, a port that is taken."""
    done = _run(tmp_path, "run", CUVEE_REDIS_URL="")
    assert (done.exit_code, done.output[:24]) == (2, "error: CUVEE_REDIS_URL: ")
    (tmp_path / "p.yaml").write_text("q: 7")
    done = _run(tmp_path, "run", "--policy", str(tmp_path / "p.yaml"))
    assert done.exit_code == 2
    assert "p.yaml: q: expected a number from 0 to 1, got 7" in done.output
    with alone(tmp_path):
        done = _run(tmp_path, "run")
    assert (done.exit_code, "another python -m monitoring run" in done.output) == (2, True)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = _run(tmp_path, "run", "--port", str(port))
    taken = f"error: cannot listen on 127.0.0.1:{port}: Address already in use; set --host and"
    assert (done.exit_code, done.output.startswith(taken)) == (2, True)


def _report(state: State) -> Report:
    bins = (Bin("up to 3", 0.5, 0.2), Bin("up to 9", 0.5, 0.8))
    drifted = Finding("spend", state, 0.001, 0.002, 0.4, 4)
    quiet = Finding("age", State.QUIET, 0.5, 0.5, 0.01, 1)
    columns = {"age": Told(quiet, bins), "spend": Told(drifted, bins)}
    return Report("v1", 480_000, 3_600_000, 900, columns)


@pytest.mark.parametrize(("state", "code"), [(State.DRIFTED, 1), (State.QUIET, 0)])
def test_what_was_found_is_shown(tmp_path: Path, state: State, code: int) -> None:
    """What speaks comes first, with what moved; JSON has every bin."""
    _report(state).write(tmp_path)
    done = _run(tmp_path, "drift")
    assert done.exit_code == code
    lines = done.output.splitlines()
    assert lines[0].startswith("model v1, window of 60 minutes to 2024-10-04 01:00 UTC")
    assert lines[2].startswith(f"spend  {state}")
    assert ("up to 9 50.0% -> 80.0%" in lines[2]) == bool(code)
    assert lines[-1] == "scores are not watched: the model holds no reference of them"
    told = json.loads(_run(tmp_path, "drift", "--json").output)
    assert told["columns"]["age"]["bins"][1] == {"label": "up to 9", "reference": 0.5, "now": 0.8}
    assert _run(tmp_path, "drift", "--all").output.count("->") == 4
    replace(_report(state), scores=True).write(tmp_path)
    assert "scores are not watched" not in _run(tmp_path, "drift").output


def test_nothing_was_found_yet(tmp_path: Path) -> None:
    """Ends with 2 and says what to start."""
    done = _run(tmp_path, "drift")
    assert (done.exit_code, "start python -m monitoring run" in done.output) == (2, True)


def test_a_report_that_is_read_is_the_one_that_was_written(tmp_path: Path) -> None:
    """To the last bin."""
    report = _report(State.SUSPECT)
    report.write(tmp_path)
    assert Report.read(tmp_path) == report
