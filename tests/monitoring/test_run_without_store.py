"""`python -m monitoring run` while the online store is down: drift is blind, the rest is not."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tests.support.process import PATIENCE_S, ROOT, free_port
from tests.support.watched import WatchedShop

WANTED = {
    "cuvee_drift_watching": "0.0",
    "cuvee_performance_watching": "1.0",
    "cuvee_response_recording": "1.0",
    'cuvee_response_seeing{kind="performance"}': "1.0",
    'cuvee_monitor_failures_total{part="drift"}': "0.0",
}


def told(port: int) -> dict[str, str]:
    """Return the figures that a monitor shows, none where it shows nothing yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return dict(re.findall(r"^(cuvee\S+) (\S+)$", answer.read().decode(), re.MULTILINE))
    except OSError:
        return {}


def test_lists_are_judged_and_acted_on_without_the_store(tmp_path: Path) -> None:
    """Drift is blind, which is no failure; the process ends in peace."""
    WatchedShop(tmp_path).promote()
    policy, port = tmp_path / "response.yaml", free_port()
    policy.write_text("rules: [{name: sales fell, on: performance, do: retrain}]\n")
    variables = {
        "CUVEE_HOME": str(tmp_path),
        "CUVEE_REDIS_URL": f"redis://127.0.0.1:{free_port()}",
        "CUVEE_RESPONSE": str(policy),
    }
    words = ("monitoring", "run", "--every", "0.05", "--port", str(port))
    process = subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT, env=os.environ | variables)
    try:
        until = time.monotonic() + PATIENCE_S
        while not WANTED.items() <= (seen := told(port)).items():
            assert time.monotonic() < until, {name: seen.get(name) for name in WANTED}
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()
