"""Rooms import downwards only, and serving loads nothing that only training needs."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
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

IN_FEATURES: dict[str, set[str]] = {
    "identity": set(),
    "computation": set(),
    "online": set(),
    "offline": {"identity"},
    "quality": {"offline", "identity"},
    "ingest": {"quality", "offline"},
    "demo_shop": {"quality", "offline"},
    "training": {"ingest", "offline", "identity", "computation"},
    "datasets": {"training", "offline", "identity"},
    "skew": {"offline", "identity", "computation"},
    "lists": {"offline"},
    "erasure": {"lists", "datasets", "skew", "quality", "offline", "identity"},
    "stream": {"erasure", "lists", "online", "offline", "identity"},
    "materialize": {"quality", "online", "offline"},
}
"""Each package of the features room, two modules that bring several together, and what they import.

All may import the other modules beside them: these import no package.
"""

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
NOT_TO_SERVE = (*TRAINING, *BUCKETS, "cryptography.hazmat", "opentelemetry.exporter")


def modules_imported(path: Path) -> Iterator[str]:
    """Yield what a file imports, wherever in it: modules, and names in them as if modules, too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported(path: Path) -> set[str]:
    """Return the top-level names that a file imports."""
    return {name.partition(".")[0] for name in modules_imported(path)}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_downwards(room: str) -> None:
    """No file imports a room above its own."""
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        upwards = imported(path) & set(MAY_IMPORT) - MAY_IMPORT[room] - {room}
        assert not upwards, f"{path.relative_to(ROOT)} imports {upwards}"


def test_packages_of_features_import_one_another_downwards() -> None:
    """Each imports only what the table says, in which nobody comes round to itself."""
    TopologicalSorter(IN_FEATURES).prepare()
    folder = ROOT / "features"
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    assert packages <= set(IN_FEATURES)
    for path in folder.rglob("*.py"):
        own = path.relative_to(folder).with_suffix("").parts[0]
        names = {name.split(".")[1] for name in modules_imported(path) if name[:9] == "features."}
        beyond = names & set(IN_FEATURES) - IN_FEATURES.get(own, set()) - {own}
        assert not beyond, f"{path.relative_to(ROOT)} imports {beyond}"


@pytest.mark.parametrize("room", ["features", "models"])
def test_lower_rooms_know_no_http_and_no_metrics(room: str) -> None:
    """Features and models return outcomes; others answer and count."""
    for path in sorted((ROOT / room).rglob("*.py")):
        assert not imported(path) & SERVER_ONLY, path.relative_to(ROOT)


@pytest.mark.parametrize("module", ["server.app", "server.launcher", "server"])
def test_serving_loads_no_training_library(module: str) -> None:
    """What answers requests neither waits nor pays for what fits, fetches or signs models."""
    assert loaded(module, NOT_TO_SERVE) == []


@pytest.mark.parametrize("module", ["features.training.command", "features.datasets.commands"])
def test_training_sets_load_spark_only_where_it_is_asked_for(module: str) -> None:
    """It takes a second, and need not be installed."""
    assert loaded(module, SPARK) == []


def test_training_loads_spark_only_where_it_is_asked_for() -> None:
    """Nor need it be installed; pandas is what scikit-learn loads where there is one."""
    assert loaded("models.train_command", ("pyspark", "py4j")) == []


def test_watching_loads_no_tables() -> None:
    """What judges lists reads them; a machine that only watches for drift need not have that."""
    libraries = ("polars", "pyarrow", "deltalake", "sklearn", "onnx", "skl2onnx")
    assert loaded("monitoring.run_command", libraries) == []


def loaded(module: str, libraries: tuple[str, ...]) -> list[str]:
    """Return which of `libraries` a process loads that imports `module`."""
    told = f"import sys, {module}; print(*(m for m in {libraries!r} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.split()
