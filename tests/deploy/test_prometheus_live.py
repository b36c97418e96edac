"""A real Prometheus scrapes the real service: alerts fire as it breaks, boards show it."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from features.online.embedded import EmbeddedValkey
from models.bundle import write_bundle
from models.registry import Registry
from monitoring.__main__ import cli
from tests.support.boards import BOARDS, queries, read, shown
from tests.support.bundles import small_parts
from tests.support.process import ROOT, Service, free_port
from tests.support.service import event

DEPLOY = ROOT / "deploy"
FOLDER = DEPLOY / "prometheus"
FASTER = "300"
"""An hour takes twelve seconds."""

ATTEMPTS = 150
PAUSE_S = 0.2
SHOPPER = "u1"

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="Debian package prometheus is missing"
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """Run a store that may be stopped."""
    with EmbeddedValkey(tmp_path / "store") as running:
        yield running


@pytest.fixture
def service(tmp_path: Path, store: EmbeddedValkey) -> Iterator[Service]:
    """Run a service with a model and a shopper it knows; lists are ranked each time."""
    Registry(tmp_path).promote(write_bundle(tmp_path / "models", small_parts()))
    with Service(tmp_path, CUVEE_REDIS_URL=store.url, CUVEE_CACHE_TTL_S="0") as running:
        item = json.loads(running.get("/v1/popular?k=1")[1])["items"][0]["item_id"]
        status, body = running.post("/v1/events", {"events": [event(SHOPPER, item)]})
        assert status == 202, body
        yield running


@pytest.fixture
def prometheus(tmp_path_factory: pytest.TempPathFactory, service: Service) -> Iterator[str]:
    """Run Prometheus with the project's rules and configuration, only faster; give its API."""
    folder = tmp_path_factory.mktemp("prometheus")
    for path in FOLDER.glob("*.rules.yaml"):
        shutil.copy(path, folder)
    made = ["rules", "--slo", str(DEPLOY / "slo.yaml"), "--out", str(folder), "--faster", FASTER]
    assert CliRunner().invoke(cli, made).exit_code == 0
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    often = dict.fromkeys(("scrape_interval", "evaluation_interval", "scrape_timeout"), "250ms")
    config["global"] = often
    own = next(each for each in config["scrape_configs"] if each["job_name"] == "cuvee")
    own["static_configs"] = [{"targets": [f"127.0.0.1:{service.port}"]}]
    config["scrape_configs"] = [own]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
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


def ask(url: str) -> Any:
    """Return what the API tells, None where it does not answer yet."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return json.load(response)["data"]
    except (urllib.error.URLError, ConnectionError):
        return None


def samples(api: str, query: str) -> list[float]:
    """Return the values of a query."""
    data = ask(f"{api}/query?{urllib.parse.urlencode({'query': query})}")
    return [float(each["value"][1]) for each in data["result"]] if data else []


def firing(api: str) -> dict[str, dict[str, Any]]:
    """Return the alerts that fire, by name."""
    data = ask(f"{api}/alerts") or {"alerts": []}
    fired = (each for each in data["alerts"] if each["state"] == "firing")
    return {each["labels"]["alertname"]: each for each in fired}


def until(holds: Callable[[], bool], meanwhile: Callable[[], object] = lambda: None) -> None:
    """Wait until Prometheus sees it."""
    for _ in range(ATTEMPTS):
        if holds():
            return
        meanwhile()
        time.sleep(PAUSE_S)
    pytest.fail("Prometheus did not come to see it")


@pytest.mark.slow
def test_a_dead_store_is_told(service: Service, store: EmbeddedValkey, prometheus: str) -> None:
    """While it lives nothing is; then the first fallback, and the objective that burns."""

    def shop(requests: int = 20) -> set[str]:
        return {service.ask(SHOPPER)["source"] for _ in range(requests)}

    assert "model" in shop(150)
    events = 'cuvee:slo_events:increase1h{slo="personal"}'
    until(lambda: sum(samples(prometheus, events)) > 100, shop)
    (bad,) = samples(prometheus, 'cuvee:slo_bad:ratio1h{slo="personal"}')
    assert bad < 0.1
    told = {"CuveePersonalBurn", "CuveeTargetDown", "CuveeModelMissing"}
    assert not told & set(firing(prometheus))

    store.stop()
    until(lambda: {"CuveeFallbackUsed", "CuveePersonalBurn"} <= set(firing(prometheus)), shop)
    burn = firing(prometheus)["CuveePersonalBurn"]

    assert burn["labels"]["job"] == "cuvee"
    assert burn["annotations"]["runbook_url"] == "docs/runbook.md#cuveepersonalburn"
    assert "recommendations came from below the model" in burn["annotations"]["summary"]
    for path in BOARDS:
        for query in queries(read(path)):
            assert ask(f"{prometheus}/query?{urllib.parse.urlencode({'query': query})}"), query
    (board,) = [path for path in BOARDS if path.stem == "service"]
    assert [query for query in shown(read(board)) if not samples(prometheus, query)] == []
