"""Whole load tests: locust against a small store over a real socket, started and stopped."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from loadtests.__main__ import cli
from loadtests.run import started

ROOT = Path(__file__).parents[2]
FAKE = Path(__file__).with_name("fake_store.py")
SLO = ROOT / "deploy" / "slo.yaml"


def _start(
    tmp_path: Path, mode: str, *options: str, scale: str = "0.15"
) -> "subprocess.Popen[str]":
    # A machine that tests are sharing may be slow: only the mode under test decides the verdict.
    slo = yaml.safe_load(SLO.read_text())["load_test"]
    slo["routes"] = {"recommendations": {"p50_ms": 120}}
    slo["generator_cpu_share"] = 10
    slo["min_requests"] = 10
    (tmp_path / "slo.yaml").write_text(yaml.safe_dump({"load_test": slo}))
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "loadtests", "run", "--time-scale", scale),
            *("--out", str(tmp_path / "out"), "--slo", str(tmp_path / "slo.yaml")),
            *(options or ("--", sys.executable, str(FAKE))),
        ],
        cwd=ROOT,
        env=os.environ | {"FAKE_MODE": mode, "FAKE_PID_FILE": str(tmp_path / "pid")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_without_locust_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said what installs it."""
    monkeypatch.setattr("loadtests.run.find_spec", lambda _: None)
    told = CliRunner().invoke(cli, ["run", "--out", str(tmp_path / "out")])
    assert str(told.exception) == "locust is not installed: make .venv/.dev does it"
    assert not (tmp_path / "out").exists()


def test_what_is_not_ready_answers_is_told() -> None:
    """With its status: a service without a model says 503."""

    class Unready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503)
            self.end_headers()
            self.wfile.write(b"no model")

        def log_message(self, *_: object) -> None:
            """Write nothing beside the tests."""

    with HTTPServer(("127.0.0.1", 0), Unready) as server:
        Thread(target=server.handle_request, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        told = CliRunner().invoke(cli, ["run", "--url", url])
    assert str(told.exception) == f"{url}/readyz does not say ready: 503 no model"


def test_a_good_service_passes_and_is_stopped(tmp_path: Path) -> None:
    """Every route is visited without a failure, the table is printed, the service is gone."""
    process = _start(tmp_path, "ok")
    output, errors = process.communicate(timeout=90)

    assert process.returncode == 0, output + errors
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert set(result["routes"]) == {"recommendations", "similar", "popular", "events"}
    assert result["sources"].keys() == {"model"}
    assert "source    model 100.0%" in output
    assert "MISSED" not in output
    assert _gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize(
    ("mode", "missed"),
    [
        ("slow", "recommendations p50_ms"),
        ("degraded", "breakdown_share"),
        ("wrong", "failures"),
    ],
)
def test_the_gate_fails_a_bad_service(tmp_path: Path, mode: str, missed: str) -> None:
    """Slow, degraded and wrong answers each miss their own objective; the exit code is 1."""
    process = _start(tmp_path, mode, scale="0.1")
    output, errors = process.communicate(timeout=90)

    assert process.returncode == 1, output + errors
    assert [line for line in output.splitlines() if missed in line and "MISSED" in line]


def test_a_service_that_does_not_start_is_no_verdict(tmp_path: Path) -> None:
    """Its last words are shown, the exit code is 2 and no locust ran."""
    process = _start(tmp_path, "dead")
    _, errors = process.communicate(timeout=90)

    assert process.returncode == 2
    assert "error: the service ended with code 1 at its start" in errors
    assert "no model, no service" in errors
    assert not (tmp_path / "out" / "result.json").exists()


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    """A misspelt command is one line, not a traceback."""
    process = _start(tmp_path, "ok", "--", str(tmp_path / "nothing"))
    _, errors = process.communicate(timeout=90)

    assert process.returncode == 2
    assert "error: cannot start" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("url", ["http://192.168.0.1:80", "http://example.com", "nonsense", ""])
def test_load_goes_to_this_machine_only(tmp_path: Path, url: str) -> None:
    """Any host but the loopback is refused before a byte is sent."""
    process = _start(tmp_path, "ok", f"--url={url}" if url else "--url=http://[::2]")
    _, errors = process.communicate(timeout=90)

    assert process.returncode == 2
    assert "error: --url: expected an address of this machine" in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_test_stops_all_it_started(tmp_path: Path, number: signal.Signals) -> None:
    """After Ctrl-C or SIGTERM neither the service nor locust is left."""
    process = _start(tmp_path, "ok", scale="30")
    for _ in range(300):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if len(children) == 2:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the service and locust were not both started")

    process.send_signal(number)
    process.communicate(timeout=60)

    assert process.returncode in {130, 128 + number}
    assert [pid for pid in children if not _gone(int(pid))] == []


def test_a_benchmark_that_is_terminated_stops_all_it_started(tmp_path: Path) -> None:
    """Its service would serve on, with a store and consumers, until the machine is off."""
    program = f"""
import time
import click
from pathlib import Path
from loadtests.command import run
from loadtests.run import started

@click.command()
def main():
    with started(({sys.executable!r}, {str(FAKE)!r}), {{}}, Path({str(tmp_path / "log")!r})):
        click.echo("begun")
        time.sleep(60)

run(main)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | {"FAKE_PID_FILE": str(tmp_path / "pid")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.terminate()
    process.communicate(timeout=60)

    assert process.returncode == 128 + signal.SIGTERM
    assert _gone(int((tmp_path / "pid").read_text()))


def test_who_is_interrupted_while_a_process_starts_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal waits until there is a process to stop."""
    begun: list[int] = []

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            begun.append(self.pid)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt), started(("sleep", "60"), {}, tmp_path / "log"):
        pytest.fail("it was interrupted before")

    (pid,) = begun
    assert _gone(pid)


def test_a_running_service_is_left_running(tmp_path: Path, unused_tcp_port: int) -> None:
    """With --url the service is tested and not touched."""
    url = f"http://127.0.0.1:{unused_tcp_port}"
    service = subprocess.Popen(
        [sys.executable, str(FAKE)],
        env=os.environ
        | {
            "CUVEE_HOST": "127.0.0.1",
            "CUVEE_PORT": str(unused_tcp_port),
            "FAKE_PID_FILE": str(tmp_path / "pid"),
        },
    )
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", unused_tcp_port)) == 0:
                    break
            time.sleep(0.1)
        process = _start(tmp_path, "ok", f"--url={url}", scale="0.05")
        output, errors = process.communicate(timeout=90)
        assert process.returncode == 0, output + errors
        assert service.poll() is None
    finally:
        service.terminate()
        service.wait(20)
