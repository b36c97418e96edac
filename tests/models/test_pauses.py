"""Pauses: in a thread that was told to, and nowhere else."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock, patch

import pytest

from models.bundle import write_bundle
from models.pauses import PAUSE_S, pause, pausing
from models.registry import Registry
from tests.support.bundles import small_parts


@pytest.fixture
def slept() -> Iterator[Mock]:
    """Return what was slept, without sleeping."""
    with patch("models.pauses.sleep") as told:
        yield told


def test_only_who_is_told_to_pauses(slept: Mock) -> None:
    """Until the block ends, however it does; other threads go on."""
    pause()
    with suppress(ValueError), pausing():
        with ThreadPoolExecutor(1) as other:
            other.submit(pause).result()
        slept.assert_not_called()
        pause()
        slept.assert_called_once_with(PAUSE_S)
        raise ValueError
    pause()
    slept.assert_called_once()


def test_a_bundle_is_loaded_and_warmed_in_steps(slept: Mock, tmp_path: Path) -> None:
    """As the same model, with a pause for each file and each run at least."""
    registry = Registry(tmp_path)
    version = write_bundle(tmp_path / "models", small_parts())
    registry.load(version).warm()
    slept.assert_not_called()
    files = len(registry.manifest(version).files)
    with pausing():
        model = registry.load(version)
        assert slept.call_count > files
        read = slept.call_count
        model.warm()
    assert slept.call_count > read
    assert model.version == version
