"""The benchmark of the feature store runs, and both sides return what they have to."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl
import pytest

from features.computation.vector import FeatureVectors
from loadtests.store import reading
from loadtests.store.figures import INGEST, Figure, join_figures, online_figures
from loadtests.store.ingest import counted
from loadtests.store.program import FEAST_PYTHON

if TYPE_CHECKING:
    from features.offline.store import OfflineStore
    from features.online.valkey_store import ValkeyStore

ROOT = Path(__file__).parents[2]
ABSENT = "Feast is not installed: make feast"
PARTS = {
    "Online": online_figures(8),
    "Join, 30 events a shopper": join_figures("", ""),
    "Ingest, 100 events a post, one core": INGEST,
    "Ingest, 100 events a post, two cores": INGEST,
}
MAY_BE_NONE = {
    "wrong",
    "lost",
    "doubled",
    "refused",
    "behind_online",
    "behind_offline",
    "caught_up_s",
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """Return the rounds of each part, and what was printed, of a run of a blink."""
    out = tmp_path_factory.mktemp("store")
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.store", "--repeat", "1", "--shoppers", "120",
         "--calls", "200", "--in-flight", "8", "--events", "2000", "--events-a-shopper", "30",
         "--rows", "150", "--large-rows", "0", "--posted", "500", "--batch", "100",
         "--out", str(out)],
        cwd=ROOT, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (out / "store.md").read_text() == done.stdout
    assert "<svg" in (out / "store.svg").read_text()
    assert (ABSENT.partition(":")[0] in done.stderr) is not FEAST_PYTHON.exists()
    return json.loads((out / "store.json").read_text()), done.stdout


def _check(figures: tuple[Figure, ...], measured: dict[str, float]) -> None:
    for figure in figures:
        value = measured[figure.key]
        assert value > 0 or (value == 0 and figure.key in MAY_BE_NONE), figure
    assert all(measured.get(key, 0) == 0 for key in ("wrong", "lost", "doubled"))


@pytest.mark.slow
def test_every_figure_is_there(told: tuple[dict[str, Any], str]) -> None:
    """Of everybody, positive, with no wrong value and no lost event; each has a row."""
    parts, printed = told
    assert parts.keys() == PARTS.keys()
    for title, (round_,) in parts.items():
        for measured in round_.values():
            _check(PARTS[title], measured)
        for figure in PARTS[title]:
            assert f"| {figure.label} |" in printed
    assert "10 M shoppers: " in printed


@pytest.mark.skipif(not FEAST_PYTHON.exists(), reason=ABSENT)
def test_both_sides_read_the_same(told: tuple[dict[str, Any], str]) -> None:
    """As many features of each shopper and label, and online the very same values."""
    parts, _ = told
    (online,), (join,) = parts["Online"], parts["Join, 30 events a shopper"]
    assert online.keys() == {"cuvee", "Feast"}
    assert join.keys() == {"cuvee", "Feast, DuckDB", "Feast, Dask"}
    assert len({each["features"] for each in (*online.values(), *join.values())}) == 1
    assert online["cuvee"]["known"] == online["Feast"]["known"]


async def test_requests_of_a_turn_share_a_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a task of its own and hears of its own shopper; the next turn reads anew."""
    reads: list[list[str]] = []

    async def read(_: object, users: list[str]) -> FeatureVectors:
        reads.append(users)
        values = np.array([[float(user)] for user in users], np.float32)
        return FeatureVectors(values, np.zeros(values.shape, bool))

    monkeypatch.setattr(reading, "features_of", read)
    shared = reading.SharedReads(cast("ValkeyStore", None))
    for users in (["1", "2", "3"], ["4", "5"]):
        told = await asyncio.gather(*map(shared.features_of, users))
        assert [row.tolist() for row in told] == [[float(user)] for user in users]
    assert reads == [["1", "2", "3"], ["4", "5"]]


def test_lost_and_doubled_are_told_apart() -> None:
    """One that is missing does not make up for one that is there twice."""
    rows = pl.LazyFrame({"event_id": ["a", "b", "b", "c"]})
    store = cast("OfflineStore", SimpleNamespace(scan=lambda _: rows))
    assert counted(store, 4) == {"lost": 1, "doubled": 1}
