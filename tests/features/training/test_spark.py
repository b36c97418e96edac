"""Spark: the same bytes as on this machine, and one line where something is missing or breaks."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

import features.training.training_set
from features.__main__ import cli
from features.declared import FEATURE_NAMES
from features.errors import EngineError
from features.events import Event, EventType
from features.offline.store import OfflineStore
from features.online.stream_entries import Entry
from features.stream.archive import events_table
from features.training.engine import engine_named
from features.training.labels import Labels
from features.training.training_set import write_training_set
from tests.support.behaviour import NOW_MS
from tests.support.labelled import HOUR_MS, entries, labels

pytest.importorskip("pyspark", reason="--engine spark needs pyspark")

from pyspark.sql import SparkSession

from features.training.spark_engine import worked
from features.training.spark_session import spark_session

pytestmark = pytest.mark.skipif(
    not (os.environ.get("JAVA_HOME") or shutil.which("java")), reason="Spark needs Java 17"
)

ROOT = Path(__file__).parents[3]
QUERY = "select user_id, arrived_at as at, value as paid from events where type = 'purchase'"
SPARK = ("--engine", "spark", "--master", "local[2]")

OWN = """
import os, signal
from pathlib import Path
from features.definitions import SHOPPER, VIEWS as OURS
from features.feature import DAY_S, FeatureView, OnDemand

MARKER = {marker!r}

def minute(moments):
    if len(moments) > 2 and MARKER and not Path(MARKER).exists():
        Path(MARKER).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return moments.as_of_ms // 60_000 % 60

OWN = FeatureView(
    "own", SHOPPER, (OnDemand("minute", minute, "Minute.", high=59),), DAY_S, "growth", "Theirs."
)
VIEWS = (*OURS, OWN)
"""


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    """Run one session; commands in this process use it."""
    with spark_session("local[2]") as session:
        yield session


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home whose path is not plain, of shoppers of every kind.

    Some did more than is kept, some nothing; of some the record is known, and was another before;
    some events came late. Some became others, and those others again.
    """
    told = tmp_path_factory.mktemp("spark") / "a shop {1}"
    random, store = np.random.default_rng(1), OfflineStore(told)
    store.append_events(events_table(entries(random, 1_500, 12)))
    store.append_events(events_table(entries(random, 2_500, 3, first=1_500)))
    store.append_events(events_table(late(100)))
    store.put_users(
        pl.DataFrame(
            {
                "user_id": ["u1", "u2", "idle"],
                "country": ["FR", None, "IT"],
                "attributes": ['{"age": 41}', '{"marketing_opt_in": true}', None],
            }
        ).to_arrow()
    )
    older = {"user_id": ["u1"], "country": ["IT"], "attributes": ['{"age": 42}']}
    store.put_users(pl.DataFrame(older).to_arrow())
    merges = [("u5", "u6"), ("u6", "u1"), ("u7", "u1"), ("u6", "u2")]
    store.merge([(*each, NOW_MS - (40 - 10 * n) * HOUR_MS) for n, each in enumerate(merges)])
    return told


def late(count: int) -> list[Entry]:
    """Return purchases that arrived a day after they were made."""
    return [
        Entry(
            b"0-1",
            NOW_MS - number * HOUR_MS,
            Event(
                f"late{number}",
                EventType.PURCHASE,
                f"u{number % 12}",
                (NOW_MS - (number + 24) * HOUR_MS) / 1_000,
                "i1",
                2.5,
            ),
        )
        for number in range(count)
    ]


def known_and_unknown() -> Labels:
    """Return rows about all of them and about others, some at a moment before anything was."""
    told = labels(np.random.default_rng(2), 400, 12)
    users = told.rows["user_id"].to_list()
    users[:5], latitudes = ["idle"] * 5, [48.5, None, float("nan"), -91.0] * 100
    as_of_ms = told.as_of_ms.copy()
    as_of_ms[3:30] = 1_000
    rows = told.rows.with_columns(user_id=pl.Series(users), lat=pl.Series(latitudes))
    return Labels(rows, as_of_ms)


def run(home: Path, *words: str) -> Result:
    """Run `python -m features` in a home."""
    return CliRunner().invoke(cli, words, env={"CUVEE_HOME": str(home)})


def run_apart(home: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m features training-set` in a process of its own."""
    command = [sys.executable, "-m", "features", "training-set", "--labels", QUERY, "--as-of", "at"]
    told = os.environ | {"CUVEE_HOME": str(home)} | env
    return subprocess.run(
        [*command, *words], cwd=ROOT, env=told, capture_output=True, text=True, check=False
    )


@pytest.mark.usefixtures("spark")
@pytest.mark.parametrize(("chunk", "mask"), [(10**6, True), (150, False)])
def test_both_engines_write_the_same_bytes(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, mask: bool
) -> None:
    """Of ties, late events, more than is kept, nobody and nothing; chunk by chunk."""
    monkeypatch.setattr(features.training.training_set, "CHUNK", chunk)
    store, given = OfflineStore(home), known_and_unknown()
    local, other = tmp_path / "local.parquet", tmp_path / "spark.parquet"
    write = partial(write_training_set, store, given, mask=mask)
    assert write(local) == write(other, engine=engine_named("spark"))
    assert other.read_bytes() == local.read_bytes()
    frame = pl.read_parquet(other)
    assert frame.select(given.rows.columns).equals(given.rows)
    assert {"FR", "IT"} <= set(frame.filter(at_home=True)["country"])
    assert frame["age"].max() == 41


@pytest.mark.usefixtures("spark")
def test_a_home_without_events_will_do(tmp_path: Path) -> None:
    """Everybody is a stranger, on both engines."""
    given = Labels(pl.DataFrame({"user_id": ["u1", "u2"]}), np.array([0, NOW_MS]))
    local, other = tmp_path / "local.parquet", tmp_path / "spark.parquet"
    store = OfflineStore(tmp_path)
    told = write_training_set(store, given, local)
    assert told == write_training_set(store, given, other, engine=engine_named("spark"))
    assert told.strangers == 2
    assert other.read_bytes() == local.read_bytes()


@pytest.mark.usefixtures("spark")
def test_labels_may_be_a_query(home: Path, tmp_path: Path) -> None:
    """As without Spark, whose session goes on after it."""
    told = {}
    for name, words in {"local": (), "spark": SPARK}.items():
        out = tmp_path / name
        asked = ("--labels", QUERY, "--as-of", "at", "--out", str(out), *words)
        done = run(home, "training-set", *asked)
        assert done.exit_code == 0, done.output
        told[name] = out.read_bytes()
    assert told["spark"] == told["local"]


@pytest.mark.usefixtures("spark")
@pytest.mark.parametrize(("one", "other"), [((), SPARK), (SPARK, ())])
def test_a_dataset_is_verified_by_the_other_engine(
    home: Path, one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    """Whichever made it."""
    name = "of-spark" if one else "of-local"
    made = run(home, "dataset", "create", name, "--labels", QUERY, "--as-of", "at", *one)
    assert made.exit_code == 0, made.output
    done = run(home, "dataset", "verify", name, *other)
    assert done.stdout == f"{name}@1: the same\n"


def test_a_worker_of_other_features_is_told(
    spark: SparkSession,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In one line, before it computes anything; the file of before stays."""
    nothing = pl.DataFrame().to_arrow()
    with pytest.raises(EngineError, match=r"features of schema [0-9a-f]{16}, not 0000"):
        worked(nothing, nothing, "0000")
    own, out = tmp_path / "own.py", tmp_path / "sets" / "set.parquet"
    own.write_text(OWN.format(marker=""))
    out.parent.mkdir()
    out.write_text("before")
    monkeypatch.setitem(spark.sparkContext.environment, "CUVEE_FEATURES", str(own))
    words = ("--labels", QUERY, "--as-of", "at", "--out", str(out), *SPARK)
    done = run(home, "training-set", *words)
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert "the same file in CUVEE_FEATURES" in done.stderr
    assert out.read_text() == "before"
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced(home: Path, tmp_path: Path) -> None:
    """With features of one's own: the same bytes, and nothing is said of it."""
    own, out, marker = (tmp_path / name for name in ("own.py", "out.parquet", "died"))
    own.write_text(OWN.format(marker=str(marker)))
    words = ("--out", str(out), "--mask")
    twice = ("--engine", "spark", "--master", "local[2,3]")
    done = run_apart(home, *words, *twice, CUVEE_FEATURES=os.path.relpath(own, ROOT))
    assert (done.returncode, done.stderr) == (0, "")
    assert marker.exists()
    assert f"{len(FEATURE_NAMES) + 1} features" in done.stdout
    made = out.read_bytes()
    assert run_apart(home, *words, CUVEE_FEATURES=str(own)).returncode == 0
    assert out.read_bytes() == made


def test_a_master_that_cannot_be_reached_is_told(home: Path, tmp_path: Path) -> None:
    """At once, in a line; nothing is written."""
    out = str(tmp_path / "set.parquet")
    done = run_apart(home, "--out", out, "--engine", "spark", "--master", "spark://127.0.0.1:1")
    assert done.returncode == 2
    told = "error: --master: nothing answers at spark://127.0.0.1:1; "
    assert done.stderr.startswith(told)
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def children(pid: int) -> list[int]:
    """Return the processes that a process started and that live."""
    with suppress(OSError):
        tasks = Path(f"/proc/{pid}/task").glob("*/children")
        return [int(each) for task in tasks for each in task.read_text().split()]
    return []


def lives(pid: int) -> bool:
    """Tell whether a process is there and no corpse."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def until(true: Callable[[], object]) -> None:
    """Wait until something is true."""
    for _ in range(600):
        if true():
            return
        time.sleep(0.05)
    raise TimeoutError


@pytest.mark.skipif(sys.platform != "linux", reason="children are looked for in /proc")
@pytest.mark.parametrize("later_s", [0, 2])
def test_an_interrupt_leaves_no_java(home: Path, tmp_path: Path, later_s: float) -> None:
    """While Spark starts, or computes: it is told in a word, and nothing goes on or is left."""
    command = [sys.executable, "-m", "features", "training-set", "--labels", QUERY]
    asked = ("--as-of", "at", "--out", str(tmp_path / "set.parquet"), *SPARK)
    told = subprocess.Popen(
        [*command, *asked], cwd=ROOT, env=os.environ | {"CUVEE_HOME": str(home)},
        stderr=subprocess.PIPE, text=True, process_group=0,
    )  # fmt: skip
    until(lambda: children(told.pid))
    (java,) = children(told.pid)
    time.sleep(later_s)
    os.killpg(told.pid, signal.SIGINT)
    _, said = told.communicate(timeout=30)
    assert (told.returncode, said.strip()) == (1, "Aborted!")
    until(lambda: not lives(java))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_java_is_told(home: Path, tmp_path: Path) -> None:
    """With what is needed, and where it is looked for."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "dirname", "env", "ps"):
        (programs / name).symlink_to(str(shutil.which(name)))
    out, path = str(tmp_path / "set.parquet"), str(programs)
    done = run_apart(home, "--out", out, "--engine", "spark", PATH=path, JAVA_HOME="")
    assert done.returncode == 2
    needs = "it needs Java 17 or newer, on PATH or named by JAVA_HOME"
    assert done.stderr == f"error: --engine spark: JAVA_HOME is not set; {needs}\n"


def test_a_missing_pyspark_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With how to install it."""
    for name in ("features.training.spark_engine", "features.training.spark_session"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyspark", None)
    words = ("--labels", QUERY, "--as-of", "at", "--out", "x", *SPARK)
    done = run(home, "training-set", *words)
    assert done.exit_code == 2
    expected = "--engine spark needs pyspark: pip install 'cuvee[train,spark]'"
    assert done.stderr == f"error: {expected}\n"


@pytest.mark.parametrize(
    "words",
    [
        ("training-set", "--labels", QUERY, "--as-of", "at", "--out", "x"),
        ("dataset", "create", "paid", "--labels", QUERY, "--as-of", "at"),
        ("dataset", "verify", "paid"),
    ],
)
def test_a_master_without_spark_is_told(home: Path, words: tuple[str, ...]) -> None:
    """Nobody thinks it ran there."""
    done = run(home, *words, "--master", "local[2]")
    assert done.exit_code == 2
    assert "--master says where Spark runs: add --engine spark" in done.stderr
