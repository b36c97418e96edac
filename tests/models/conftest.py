"""Models for the tests of this room."""

import shutil
from functools import cache
from pathlib import Path

import pytest

from models.bundle import write_bundle
from models.registry import Registry
from tests.support.bundles import indexed_parts


@cache
def _whole(folder: Path) -> Path:
    """Return the directory of a whole bundle that is made once a run below `folder`."""
    return folder / write_bundle(folder, indexed_parts())


@pytest.fixture
def bundle(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a whole bundle: a copy, since to make it waits for the disk."""
    made = _whole(tmp_path_factory.getbasetemp() / "whole")
    copy = tmp_path / "models" / made.name
    shutil.copytree(made, copy)
    return copy


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Return the registry of an empty home."""
    return Registry(tmp_path)
