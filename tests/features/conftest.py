"""A small shop of purchases, and the datasets that are made of it."""

from pathlib import Path

import pytest

from features.datasets.datasets import Datasets
from features.offline.store import OfflineStore
from features.stream.archive import events_table
from tests.support.purchases import purchases


@pytest.fixture
def store(tmp_path: Path) -> OfflineStore:
    """Return a store of thirty purchases, ten a shopper."""
    told = OfflineStore(tmp_path)
    told.append_events(events_table(purchases(0, 30)))
    return told


@pytest.fixture
def datasets(tmp_path: Path, store: OfflineStore) -> Datasets:
    """Return the datasets of that store's home."""
    assert store.count("events") == 30
    return Datasets(tmp_path)
