"""The service as its users start it: a process of its own, on a free port."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

ROOT = Path(__file__).parents[2]
PATIENCE_S = 180.0
"""How long anything may take at most: a machine of others is at times ten times slower."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Service:
    """`python -m server` over a home; stopped at the end whatever happens."""

    def __init__(self, home: Path, **variables: str) -> None:
        """Start nothing yet."""
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CUVEE_")},
            "CUVEE_HOME": str(home),
            "CUVEE_PORT": str(self.port),
            "CUVEE_DRAIN_S": "0",
            # Answers are judged by what they say; a busy machine may be slow.
            "CUVEE_DEADLINE_MS": "5000",
            "CUVEE_FEATURE_TIMEOUT_MS": "2000",
            **variables,
        }
        self._log = home / "service.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it and wait until it is ready."""
        self.start()
        try:
            self.until_ready()
        except AssertionError:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start it, ready or not, and stop it at the end."""
        self.start()
        try:
            yield
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop it, by force if need be."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def start(self) -> None:
        """Start the process."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "server"],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Return the master's process id."""
        assert self.process is not None
        return self.process.pid

    @property
    def output(self) -> str:
        """Return what it printed."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def until_ready(self) -> None:
        """Wait until /readyz says 200."""
        self.until(lambda: self.get("/readyz")[0] == 200)

    def until(self, holds: Any) -> None:
        """Wait until `holds()`, and fail with the output if it never does."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                if holds():
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"in vain: {self.output[-3000:]}")

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body."""
        return self._send(urllib.request.Request(self.url + path))

    def post(self, path: str, told: object) -> tuple[int, bytes]:
        """Return status and body."""
        headers = {"Content-Type": "application/json"}
        return self._send(urllib.request.Request(self.url + path, orjson.dumps(told), headers))

    def delete(self, path: str, token: str) -> int:
        """Return the status."""
        headers = {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(self.url + path, headers=headers, method="DELETE")
        return self._send(request)[0]

    def ask(self, user_id: str, **fields: object) -> dict[str, Any]:
        """Return a recommendation."""
        status, body = self.post("/v1/recommendations", {"user_id": user_id, **fields})
        assert status == 200, body
        answer: dict[str, Any] = orjson.loads(body)
        return answer

    def children(self, word: str = "") -> set[int]:
        """Return the process ids of the master's children whose command contains `word`."""
        return {
            pid for pid in processes() if parent_of(pid) == self.pid and word in command_of(pid)
        }

    def workers(self) -> set[int]:
        """Return the process ids of the workers."""
        return self.children("-m server") or self.children("worker")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the master."""
        os.kill(self.pid, number)

    def exit_code(self) -> int:
        """Wait for the end and return the exit code."""
        assert self.process is not None
        return self.process.wait(PATIENCE_S)

    def _send(self, request: urllib.request.Request) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()


def processes() -> list[int]:
    """Return the ids of all processes."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def parent_of(pid: int) -> int:
    """Return a process's parent, 0 where it is gone or a zombie."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return 0
    return 0 if state == "Z" else int(parent)


def command_of(pid: int) -> str:
    """Return a process's command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    """Tell whether a process lives."""
    return parent_of(pid) != 0
