"""Models for the tests of this room."""

from pathlib import Path

import pytest

from models.bundle import write_bundle
from models.registry import Registry
from tests.support.bundles import indexed_parts


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return the directory of a whole bundle."""
    models = tmp_path / "models"
    return models / write_bundle(models, indexed_parts())


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Return the registry of an empty home."""
    return Registry(tmp_path)
