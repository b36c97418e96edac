"""The benchmark of growth runs, and tells of each size and number of workers."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.command import run
from loadtests.growth.__main__ import main
from tests.support.service import PATIENT

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_a_small_catalogue_is_measured(tmp_path: Path) -> None:
    """Lists are served by one worker and by two, and through promotions."""
    out = tmp_path / "figures"
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.growth", "--items", "1000", "--seconds", "0.5",
         "--rate", "40", "--connections", "2", "--promotions", "2", "--every", "0.5",
         "--out", str(out)],
        cwd=ROOT, env=os.environ | PATIENT, capture_output=True, text=True, timeout=110,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (size,) = json.loads((out / "growth.json").read_text())
    assert (size["items"], size["retrieval"]) == (1_000, "exact")
    told = size["promoted"]
    assert (told["promotions"], told["failed"]) == (2, 0)
    for window in ("before", "during", "after"):
        p99, low, high = told[window]
        assert 0 < low <= p99 <= high
    assert 20 < told["rss_before_mb"] <= told["rss_most_mb"] * 1.2
    assert told["rss_after_mb"] > 20
    assert size["by_workers"].keys() == {"1", "2"}
    for figures in size["by_workers"].values():
        assert figures["cpu_ms"] > 0
        assert figures["failed"] < 0.1 * figures["rps"]  # a busy machine makes the ladder answer
    assert (out / "growth.md").read_text() == done.stdout
    assert "<svg" in (out / "growth.svg").read_text()


@pytest.mark.parametrize("items", ["999", "many"])
def test_a_size_that_is_none_is_refused(
    items: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, not a traceback."""
    monkeypatch.setattr(sys, "argv", ["growth", "--items", items])
    with pytest.raises(SystemExit, match="2"):
        run(main)
    assert "--items" in capsys.readouterr().err
