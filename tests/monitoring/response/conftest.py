"""Homes with models in them: written and promoted once, copied for each test."""

import shutil
from pathlib import Path

import pytest

from models.bundle import write_bundle
from models.registry import Registry
from tests.support.bundles import small_parts

Versions = tuple[str, str, str]


@pytest.fixture(scope="session")
def three_models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Versions]:
    """Return a home of three models, of which none serves, and their versions."""
    home = tmp_path_factory.mktemp("written")
    first, second, third = (
        write_bundle(home / "models", small_parts(items)) for items in (30, 31, 32)
    )
    return home, (first, second, third)


@pytest.fixture(scope="session")
def second_serves(
    tmp_path_factory: pytest.TempPathFactory, three_models: tuple[Path, Versions]
) -> Path:
    """Return a home of the same models, of which the second serves, after the first."""
    home = tmp_path_factory.mktemp("serving")
    written, (first, second, _) = three_models
    shutil.copytree(written / "models", home / "models")
    for version in (first, second):
        Registry(home).promote(version)
    return home


@pytest.fixture
def versions(tmp_path: Path, three_models: tuple[Path, Versions]) -> Versions:
    """Return the versions of the three models of a home."""
    written, told = three_models
    shutil.copytree(written / "models", tmp_path / "models")
    return told


@pytest.fixture
def served(tmp_path: Path, three_models: tuple[Path, Versions], second_serves: Path) -> Versions:
    """Return the versions of the three models of a home; the second serves, after the first."""
    shutil.copytree(second_serves / "models", tmp_path / "models")
    return three_models[1]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Return the registry of the home."""
    return Registry(tmp_path)
