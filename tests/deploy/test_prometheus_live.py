"""A real Prometheus scrapes the real exposition, and an alert really fires."""

import http.server
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from monitoring.exposition import render
from monitoring.labels import Reason, Route, Source
from monitoring.metrics import Metrics

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
ATTEMPTS = 150
PAUSE_S = 0.2

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="Debian package prometheus is missing"
)


@pytest.fixture
def registry() -> CollectorRegistry:
    """Return an empty registry."""
    return CollectorRegistry()


@pytest.fixture
def target(registry: CollectorRegistry) -> Iterator[int]:
    """Return the port of a server that shows `registry` at /metrics."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body, content_type = render(registry)
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server.server_port
        server.shutdown()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def prometheus(tmp_path: Path, target: int) -> Iterator[str]:
    """Run Prometheus with the project's own rules and configuration, only faster; give its URL."""
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "250ms", "evaluation_interval": "250ms"}
    config["global"]["scrape_timeout"] = "250ms"
    config["rule_files"] = [str(FOLDER / name) for name in config["rule_files"]]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{target}"]}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = _free_port()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={tmp_path / 'prometheus.yml'}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{port}/api/v1"
    finally:
        process.terminate()
        process.wait(20)


def _ask(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return json.load(response)["data"]
    except (urllib.error.URLError, ConnectionError):
        return None


def _value(api: str, name: str) -> float | None:
    data = _ask(f"{api}/query?query={name}")
    return float(data["result"][0]["value"][1]) if data and data["result"] else None


def _firing(api: str) -> set[str]:
    data = _ask(f"{api}/alerts") or {"alerts": []}
    return {each["labels"]["alertname"] for each in data["alerts"] if each["state"] == "firing"}


def _poll(check: Any) -> None:
    for _ in range(ATTEMPTS):
        if check():
            return
        time.sleep(PAUSE_S)
    pytest.fail("Prometheus did not come to see it")


def test_alerts_fire_in_a_real_prometheus(registry: CollectorRegistry, prometheus: str) -> None:
    """A slow fallback fires both immediate alerts; before it, a healthy service fired none."""
    metrics = Metrics(registry)
    metrics.model("v1")
    metrics.request(Route.RECOMMENDATIONS, Source.MODEL, 200, 0.02)
    metrics.enter()
    _poll(lambda: _value(prometheus, "cuvee:window60s:request_count") == 0)
    assert _firing(prometheus) == set()

    metrics.request(Route.RECOMMENDATIONS, Source.SEGMENT, 200, 0.25)
    metrics.fallback(Reason.FEATURE_TIMEOUT)
    metrics.enter()

    _poll(lambda: {"CuveeHighLatency", "CuveeFallbackUsed"} <= _firing(prometheus))
    _poll(lambda: (_value(prometheus, "cuvee:window60s:request_count") or 0) > 0.5)
    assert (_value(prometheus, "cuvee:window60s:latency_seconds:p95") or 0) > 0.2
    assert "CuveeTargetDown" not in _firing(prometheus)
