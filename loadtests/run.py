"""One load test from start to end: the service, locust, the gate; nothing is left running."""

import contextlib
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from features.home import home_directory
from loadtests.spare_home import spare_home, spare_variables

ROOT = Path(__file__).parents[1]
LOCUSTFILE = Path(__file__).with_name("locustfile.py")
READY_ATTEMPTS = 300
READY_PAUSE_S = 0.2
STOP_S = 35.0


class LoadTestError(Exception):
    """The test could not be carried out; says nothing about the service's speed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: a shape, against `url` or against a service started on a free port."""

    shape: str
    time_scale: float
    url: str | None
    command: tuple[str, ...]
    """What starts the service; where nothing is said it is ours, over a spare home."""

    home: Path | None
    shoppers: Path | None
    folder: Path


def run(plan: Plan) -> Path:
    """Carry `plan` out and return the path of its result (JSON); raise `LoadTestError`."""
    if find_spec("locust") is None:
        raise LoadTestError("locust is not installed: make .venv/.dev does it")
    plan.folder.mkdir(parents=True, exist_ok=True)
    with terminable(), _service(plan) as url:
        return _locust(plan, url)


def check_local(url: str) -> str:
    """Return `url` if it leads to this machine, or raise: load goes nowhere else."""
    host = urlsplit(url).hostname or ""
    with contextlib.suppress(ValueError):
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return url.rstrip("/")
    raise LoadTestError(f"--url: expected an address of this machine (127.0.0.1), got {url!r}")


@contextlib.contextmanager
def _service(plan: Plan) -> Iterator[str]:
    if plan.url is not None:
        url = check_local(plan.url)
        _wait_ready(f"{url}/readyz", None)
        yield url
        return
    with contextlib.ExitStack() as stack:
        command, variables = plan.command, {}
        if plan.home is not None:
            variables = {"CUVEE_HOME": str(plan.home)}
        if not command:
            home = stack.enter_context(spare_home(plan.home or home_directory()))
            command, variables = (sys.executable, "-m", "server"), spare_variables(home)
        port, _ = stack.enter_context(started(command, variables, plan.folder / "server.log"))
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def started(
    command: tuple[str, ...],
    variables: Mapping[str, str],
    log: Path,
    prepare: Callable[[], None] | None = None,
    ready: str = "/readyz",
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a server on a free port and yield (port, process) once it is ready; stop it at the end.

    The port stands for `{port}` in `command`, and is in the environment as the service wants
    it. `prepare` is called in the child; `ready` is asked until it says 200. Raises
    `LoadTestError` with the end of `log`.
    """
    port = free_port()
    environment = os.environ | {"CUVEE_HOST": "127.0.0.1", "CUVEE_PORT": str(port), **variables}
    named = tuple(str(port) if each == "{port}" else each for each in command)
    with log.open("wb") as output, _child(named, environment, output.fileno(), prepare) as server:
        try:
            _wait_ready(f"http://127.0.0.1:{port}{ready}", server)
        except LoadTestError as error:
            tail = log.read_text(encoding="utf-8", errors="replace")[-2_000:]
            raise LoadTestError(f"{error}\n{tail}".strip()) from None
        yield port, server


@contextlib.contextmanager
def _child(
    command: tuple[str, ...],
    environment: dict[str, str],
    output: int,
    prepare: Callable[[], None] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` in a process group of its own, so that Ctrl-C reaches only this program."""
    with contextlib.ExitStack() as stack:
        with _signals_wait():
            try:
                process = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env=environment,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    preexec_fn=prepare,
                )
            except OSError as error:
                raise LoadTestError(f"cannot start {command[0]}: {error.strerror}") from None
            stack.callback(_stop, process)
        yield process


@contextlib.contextmanager
def _signals_wait() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait: who is interrupted while a process starts cannot stop it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    told: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: told.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for each in told:
            signal.raise_signal(each)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to end; then end whatever is left of its group."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _wait_ready(url: str, process: subprocess.Popen[bytes] | None) -> None:
    attempts = READY_ATTEMPTS if process is not None else 1
    why: str | None = None
    for _ in range(attempts):
        why = _why_not_ready(url)
        if why is None:
            return
        if process is not None and process.poll() is not None:
            raise LoadTestError(f"the service ended with code {process.returncode} at its start")
        time.sleep(READY_PAUSE_S)
    raise LoadTestError(f"{url} does not say ready: {why}")


def _why_not_ready(url: str) -> str | None:
    """Return what was answered, or why nothing was; None where the service is ready."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return None
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read(200).decode(errors='replace')}"
    except urllib.error.URLError as error:
        return str(error.reason)
    except (ConnectionError, TimeoutError) as error:
        return str(error)


def _locust(plan: Plan, url: str) -> Path:
    result = plan.folder / "result.json"
    result.unlink(missing_ok=True)
    log = plan.folder / "locust.log"
    command = (
        *(sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--host", url),
        *("--shape", plan.shape, "--time-scale", str(plan.time_scale), "--result", str(result)),
        *("--shoppers", str(plan.shoppers) if plan.shoppers else "", "--loglevel", "WARNING"),
    )
    with log.open("wb") as output, _child(command, dict(os.environ), output.fileno()) as process:
        process.wait()
    if not result.exists():
        tail = log.read_text(encoding="utf-8", errors="replace")[-2_000:]
        raise LoadTestError(f"locust ended with code {process.returncode}\n{tail}".strip())
    json.loads(result.read_text(encoding="utf-8"))
    return result


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM into an exit that runs the clean-up, as Ctrl-C does."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
