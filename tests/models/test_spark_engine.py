"""Training on Spark: the same bytes as on this machine, and one line where something is amiss."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from scipy import sparse

import models.gram
import models.training_log
from features.demo_shop.simulate import World, simulate
from features.errors import EngineError
from features.identity.forgotten import ForgottenList
from features.offline.parts import Part
from features.offline.store import OfflineStore
from models.__main__ import cli
from models.bundle_contents import TOWER
from models.code_revision import sources
from models.engine import engine_named
from models.gram import gram_of
from models.registry import Registry
from models.stages import Stages
from models.training_log import training_log

pytest.importorskip("pyspark", reason="--engine spark needs pyspark")

from pyspark.sql import SparkSession

from features.training.spark_session import spark_session
from models.spark_engine import count_block, read_part

pytestmark = pytest.mark.skipif(
    not (os.environ.get("JAVA_HOME") or shutil.which("java")), reason="Spark needs Java 17"
)

LATER_MS = int(datetime(2026, 11, 2, tzinfo=UTC).timestamp() * 1_000)
SPARK = ("--engine", "spark", "--master", "local[2]")


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    """Run one session; commands in this process use it."""
    with spark_session("local[2]") as session:
        yield session


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the home of a demo shop, where one was merged into another, and one forgotten."""
    home = tmp_path_factory.mktemp("shop")
    store = OfflineStore(home)
    simulate(store, World(20_000, 0, datetime(2026, 11, 1, tzinfo=UTC)))
    ids = store.event_log().user_ids
    store.merge([(ids[3], ids[40], LATER_MS)])
    ForgottenList(home).add({ids[7]: LATER_MS})  # and not yet deleted from the tables
    assert len(store.event_log().user_ids) == len(ids) - 2
    return home


def run(home: Path, *words: str) -> Result:
    """Run `python -m models train` in a home."""
    return CliRunner().invoke(cli, ("train", *words), env={"CUVEE_HOME": str(home)})


@pytest.mark.usefixtures("spark")
def test_both_engines_read_the_same_log(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part a task, home in order; and what one of them kept the other goes on from."""
    monkeypatch.setattr(models.training_log, "PART_EVENTS", 7_000)
    store = OfflineStore(home)
    here = training_log(store, Stages())
    stages = Stages(tmp_path)
    with engine_named("spark") as engine:
        there = training_log(store, stages, engine.read)
    assert len([*tmp_path.glob("read-*")]) > 2
    assert there.user_ids == here.user_ids
    assert there.profiles == here.profiles
    np.testing.assert_array_equal(there.offsets, here.offsets)
    np.testing.assert_array_equal(there.records, here.records)
    monkeypatch.setattr(models.training_log, "part_arrays", None)
    assert training_log(store, stages).user_ids == here.user_ids


@pytest.mark.usefixtures("spark")
@pytest.mark.parametrize("block", [300, 10_000])
def test_both_engines_count_the_same(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit: blocks are the same, and added up in the same order."""
    monkeypatch.setattr(models.gram, "BLOCK", block)
    random = np.random.default_rng(0)
    matrix = sparse.random_array((300, 20), density=0.2, rng=random, dtype=np.float32)
    rows = sparse.csr_matrix(matrix)
    with engine_named("spark") as engine:
        told = engine.gram(rows)
    np.testing.assert_array_equal(told, gram_of(rows))
    np.testing.assert_allclose(told, rows.toarray().T @ rows.toarray(), rtol=1e-5)


@pytest.mark.slow
def test_a_model_of_spark_is_the_same_to_the_byte(
    spark: SparkSession, home: Path, tmp_path: Path
) -> None:
    """Whole commands, in two homes of the same shop; Spark's session goes on after it."""
    told, jobs = [], []
    for name, words in {"local": (), "spark": SPARK}.items():
        shutil.copytree(home, tmp_path / name)
        done = run(tmp_path / name, *words)
        assert done.exit_code == 0, done.output
        told.append(Registry(tmp_path / name).manifest("production"))
        jobs.append(len(spark.sparkContext.statusTracker().getJobIdsForGroup()))
    one, other = told
    assert jobs[1] > jobs[0] + 5
    assert TOWER in one.files
    assert other.files == one.files
    assert other.metrics == one.metrics


@pytest.mark.usefixtures("spark")
def test_a_home_without_events_will_do(tmp_path: Path) -> None:
    """There are no parts to read, and that is no error."""
    with engine_named("spark") as engine:
        told = training_log(OfflineStore(tmp_path), Stages(), engine.read)
    assert told.user_ids == ()


def test_a_worker_of_other_code_is_told(home: Path) -> None:
    """Before it computes anything."""
    store = OfflineStore(home)
    whole = Part(None, None, 0)
    assert read_part(home, store.version(), sources(), whole)["offsets"][-1] > 0
    with pytest.raises(EngineError, match=r"a worker has code sha256\.[0-9a-f]{12}, not other"):
        read_part(home, store.version(), "other", whole)
    with pytest.raises(EngineError, match="it needs the same cuvee"):
        count_block("other", sparse.csr_matrix((1, 1), dtype=np.float32))


@pytest.mark.usefixtures("spark")
def test_a_worker_that_fails_ends_the_training_in_a_line(home: Path, tmp_path: Path) -> None:
    """Nothing is registered, and what was kept is gone on from without Spark."""
    shutil.copytree(home / "offline", tmp_path / "offline")
    files = sorted((tmp_path / "offline" / "events").glob("*.parquet"))
    kept = files[0].read_bytes()
    with engine_named("spark") as engine:
        store = OfflineStore(tmp_path)
        parts = store.parts()
        files[0].write_bytes(b"no parquet")
        with (
            pytest.raises(EngineError, match=r"--engine spark: \w*Error: "),
            spark_session(None),
            engine.read(store, parts) as read,
        ):
            read(0)
    files[0].write_bytes(kept)
    assert Registry(tmp_path).manifests() == []
    assert run(tmp_path).exit_code == 0


def test_where_spark_runs_is_said_for_spark_alone(tmp_path: Path) -> None:
    """A wrong use is told before anything is read."""
    done = run(tmp_path, "--master", "local[2]")
    assert done.exit_code == 2
    assert "add --engine spark" in done.output
