"""`python -m monitoring run` as its users start it."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from monitoring.response.audit_command import joined
from monitoring.response.trail import Trail
from tests.support.process import ROOT


@contextmanager
def monitoring(home: Path, url: str, policy: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the monitor of a home with a policy of responses; end it with the block."""
    (home / "response.yaml").write_text(policy)
    words = ("-m", "monitoring", "run", "--every", "0.2", "--response", home / "response.yaml")
    with (home / "monitor.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            env={**os.environ, "CUVEE_HOME": str(home), "CUVEE_REDIS_URL": url},
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def decisions(home: Path, action: str) -> list[dict[str, Any]]:
    """Return what was decided about an action, with what it led to."""
    return [each for each in joined(Trail(home).lines()) if each["action"] == action]


@contextmanager
def alertmanager() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Give the URL of what takes alerts as Alertmanager does, and what it has taken."""
    taken: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Take alerts."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/api/v2/alerts":
                taken.extend(json.loads(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", taken
        finally:
            server.shutdown()
