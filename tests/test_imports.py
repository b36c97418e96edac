"""Rooms import downwards only, and serving loads nothing that only training needs."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {
    "features": set(),
    "models": {"features"},
    "monitoring": {"models", "features"},
    "server": {"monitoring", "models", "features"},
    "loadtests": {"monitoring", "models", "features"},  # benchmarks make their own shop
}
"""Each room, and the rooms below it."""

SERVER_ONLY = {"aiohttp", "prometheus_client"}
SPARK = ("pyspark", "py4j", "pandas")
BUCKETS = ("fsspec", "s3fs", "botocore")
BASELINES = ("implicit", "cornac")
TRAINING = (
    "sklearn",
    "polars",
    "pyarrow",
    "deltalake",
    "onnx",
    "skl2onnx",
    "scipy",
    *BASELINES,
    *SPARK,
)
NOT_TO_SERVE = (*TRAINING, *BUCKETS, "cryptography.hazmat")


def imported(path: Path) -> Iterator[str]:
    """Yield the top-level names that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_downwards(room: str) -> None:
    """No file imports a room above its own."""
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        upwards = set(imported(path)) & set(MAY_IMPORT) - MAY_IMPORT[room] - {room}
        assert not upwards, f"{path.relative_to(ROOT)} imports {upwards}"


@pytest.mark.parametrize("room", ["features", "models"])
def test_lower_rooms_know_no_http_and_no_metrics(room: str) -> None:
    """Features and models return outcomes; others answer and count."""
    for path in sorted((ROOT / room).rglob("*.py")):
        assert not set(imported(path)) & SERVER_ONLY, path.relative_to(ROOT)


@pytest.mark.parametrize("module", ["server.app", "server.launcher", "server"])
def test_serving_loads_no_training_library(module: str) -> None:
    """What answers requests neither waits nor pays for what fits, fetches or signs models."""
    assert loaded(module, NOT_TO_SERVE) == []


@pytest.mark.parametrize("module", ["features.training_set_command", "features.dataset_commands"])
def test_training_sets_load_spark_only_where_it_is_asked_for(module: str) -> None:
    """It takes a second, and need not be installed."""
    assert loaded(module, SPARK) == []


def test_training_loads_spark_only_where_it_is_asked_for() -> None:
    """Nor need it be installed; pandas is what scikit-learn loads where there is one."""
    assert loaded("models.train_command", ("pyspark", "py4j")) == []


def loaded(module: str, libraries: tuple[str, ...]) -> list[str]:
    """Return which of `libraries` a process loads that imports `module`."""
    told = f"import sys, {module}; print(*(m for m in {libraries!r} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.split()
