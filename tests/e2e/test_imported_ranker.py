"""A ranker made by hand, from a file to answers over HTTP."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson

from models.ranker_features import RANKER_FEATURES
from models.registry import Registry
from tests.support.bundles import linear_ranker
from tests.support.process import ROOT, Service


def models(home: Path, *words: str) -> str:
    """Run a verb in a process of its own and return what it printed."""
    command = [sys.executable, "-m", "models", *words]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={"CUVEE_HOME": str(home), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_an_imported_ranker_serves(home: Path) -> None:
    """A running service follows its promotion, and lists are in the order that it gives."""
    path = home / "last-first.onnx"
    weights = np.zeros(len(RANKER_FEATURES), np.float32)
    weights[RANKER_FEATURES.index("log_rank")] = 1  # the last candidate first
    path.write_bytes(linear_ranker(weights))
    event = {"event_id": "e1", "type": "click", "user_id": "u1", "timestamp": 1_760_000_000}
    with Service(home) as service:
        item = orjson.loads(service.get("/v1/popular?k=1")[1])["items"][0]["item_id"]
        assert service.post("/v1/events", {"events": [event | {"item_id": item}]})[0] == 202
        before = service.ask("u1", k=6)
        version = models(home, "import", str(path)).split()[0]
        models(home, "promote", version)
        service.until(lambda: service.ask("u1", k=5)["model_version"] == version)
        after = service.ask("u1", k=6)  # another k: no list that was kept
    assert (after["source"], after["degraded"]) == ("model", False)
    scores = [each["score"] for each in after["items"]]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1] > 0
    shown = [[each["item_id"] for each in answer["items"]] for answer in (before, after)]
    assert shown[0] != shown[1]
    assert Registry(home).production() == version
