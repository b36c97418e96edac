"""A small shop, as tables and as the files that its owner would bring."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from features.demo_shop.simulate import World, simulate
from features.offline.store import OfflineStore
from features.offline.tables import SCHEMAS
from tests.support.forked import Features

JOIN = ("--labels", "select user_id, arrived_at as at from events", "--as-of", "at")
"""Options of a training set of its shoppers."""

Rows = dict[str, pl.DataFrame]


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the home of a shop with some thousand events; only to read from."""
    home = tmp_path_factory.mktemp("shop")
    simulate(OfflineStore(home), World(8_000, 1, datetime(2026, 1, 1, tzinfo=UTC)))
    return home


@pytest.fixture(scope="session")
def features(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Features]:
    """Return what runs commands."""
    with Features(tmp_path_factory.mktemp("commands") / "log") as running:
        yield running


def rows(home: Path) -> Rows:
    """Return what the tables hold, in the order of their ids."""
    store = OfflineStore(home)
    return {name: store.scan(name).collect().sort(SCHEMAS[name].names[0]) for name in SCHEMAS}


def export(tables: Rows, folder: Path) -> Path:
    """Write rows as files that can be taken in."""
    folder.mkdir()
    for name, table in tables.items():
        table.drop("arrived_at", strict=False).write_parquet(folder / f"{name}.parquet")
    return folder


def litter(folder: Path) -> list[str]:
    """Return what lies there hidden but locks."""
    return [each.name for each in folder.glob(".*") if not each.name.endswith("lock")]
