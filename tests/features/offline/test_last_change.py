"""Whether the data changed, by commits that changed rows, over real Delta tables."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from features.offline.last_change import last_change
from features.offline.store import OfflineStore
from features.offline.tables import ITEMS
from features.stream.archive import events_table
from tests.features.test_materialize import click_at, keep, users

NEVER_MS = 4_102_444_800_000
AT_ONCE = timedelta(0)
"""Time that `tidy` leaves to versions of before: files, and what the log tells of them, go."""


@pytest.fixture
def store(tmp_path: Path) -> OfflineStore:
    """Return a store of several commits, of which the last brought an event."""
    store = OfflineStore(tmp_path)
    item = {"item_id": "i1", "category": "Red", "price": 1.0, "in_stock": True}
    store.put_items(pa.Table.from_pylist([item], ITEMS))
    store.put_users(users(("u1", "FR", None)))
    for stamp_ms in range(1_000, 1_003):
        keep(store, [click_at(stamp_ms)])
    return store


def log_of(store: OfflineStore, table: str) -> list[Path]:
    """Return the commits that the log of a table still tells of."""
    return sorted((store.home / "offline" / table / "_delta_log").glob("*.json"))


CHANGES: tuple[tuple[str, Callable[[OfflineStore], object]], ...] = (
    ("events@", lambda store: keep(store, [click_at(2_000)])),
    ("events@", lambda store: store.forget({"u1": NEVER_MS})),
    ("events@", lambda store: store.replace("events", events_table([click_at(2_000)]))),
    ("users@", lambda store: store.put_users(users(("u1", "IT", None)))),
    ("merges@", lambda store: store.merge([("s1", "u1", 2_000)])),
)


@pytest.mark.parametrize("retention", [AT_ONCE, timedelta(days=7)])
def test_tidying_changes_nothing(store: OfflineStore, retention: timedelta) -> None:
    """Its commits leave the rows as they were, and where the log is cut short it stays known."""
    before, change = store.version(), store.last_change()
    assert change == before

    for _ in range(3):
        store.tidy(retention)
        assert store.last_change() == change
        assert store.is_unchanged_since(before)
        assert store.is_unchanged_since(store.version())
        assert len(store.changed_since(before)) == 0
    assert store.version() != before
    assert [len(log_of(store, table)) for table in ("events", "items")] == (
        [5, 2] if retention else [1, 1]
    )


def test_a_home_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """`make` would take what a misspelt `CUVEE_HOME` left for a shop."""
    home = tmp_path / "typo"
    assert OfflineStore(home).tidy() == 0
    assert not home.exists()


def test_what_is_tidy_gets_no_commit(store: OfflineStore) -> None:
    """Not for the note either."""
    store.tidy()
    tidied = store.version()
    store.tidy()
    assert store.version() == tidied != "events@2,items@0,users@0"


@pytest.mark.parametrize(("table", "change"), CHANGES)
@pytest.mark.parametrize("retention", [AT_ONCE, timedelta(days=7)])
def test_rows_that_come_or_go_are_a_change(
    store: OfflineStore,
    table: str,
    change: Callable[[OfflineStore], object],
    retention: timedelta,
) -> None:
    """Between tidyings, and of the table that changed."""
    before = store.version()
    store.tidy(retention)
    tidied, last = store.version(), store.last_change()
    change(store)
    changed = store.version()
    for _ in range(2):
        assert store.last_change() != last
        assert table in store.last_change()
        assert not store.is_unchanged_since(before)
        assert not store.is_unchanged_since(tidied)
        assert store.is_unchanged_since(changed)
        store.tidy(retention)


def test_a_version_of_before_is_as_it_was(store: OfflineStore) -> None:
    """Read as it was then, a table knows of its last change by then."""
    keep(store, [click_at(2_000)])
    store.tidy()
    before, change = store.at(store.version()), store.last_change()
    keep(store, [click_at(3_000)])
    store.tidy()

    assert before.last_change() == change != store.last_change()
    assert before.is_unchanged_since(change)
    assert before.count("events") == 4


@pytest.mark.parametrize(
    "version", ["events@9,items@0,users@0", "events@2,items@0,users@-", "benchmark", "", "events@2"]
)
def test_what_is_no_version_of_these_tables_is_not_of_their_rows(
    store: OfflineStore, version: str
) -> None:
    """One that is later than all, of a table that was not there, or of no tables at all."""
    assert store.is_unchanged_since("events@2,items@0,users@0")
    assert not store.is_unchanged_since(version)


def test_without_tables_nothing_changed(tmp_path: Path) -> None:
    """Until the first row."""
    store = OfflineStore(tmp_path)
    before = store.version()
    assert store.last_change() == before
    assert store.is_unchanged_since(before)
    keep(store, [click_at(1_000)])
    assert not store.is_unchanged_since(before)


def test_where_nothing_tells_it_counts_as_a_change(store: OfflineStore, tmp_path: Path) -> None:
    """A log that another program cut, without a note."""
    path = tmp_path / "offline" / "events"
    table = DeltaTable(path)
    table.optimize.compact()
    table.create_checkpoint()
    assert last_change(table, path) == 2
    for commit in log_of(store, "events"):
        commit.unlink()
    assert last_change(DeltaTable(path), path) == 3


@pytest.mark.parametrize("noted", ["nonsense", "1 as of", ""])
def test_a_note_that_is_none_is_none(store: OfflineStore, tmp_path: Path, noted: str) -> None:
    """The log is asked."""
    path = tmp_path / "offline" / "events"
    DeltaTable(path).alter.set_table_properties(
        {"cuvee.lastChange": noted}, raise_if_not_exists=False
    )
    assert store.last_change() == "events@2,items@0,users@0"


def test_the_log_is_read_from_its_end(tmp_path: Path) -> None:
    """No further than to the last change, or to what was noted when it was tidied."""
    for number in range(5):
        write_deltalake(tmp_path, pa.table({"a": [number]}), mode="append")
    table = DeltaTable(tmp_path)
    for number in range(4):
        (tmp_path / "_delta_log" / f"{number:020d}.json").write_text("not read")
    assert last_change(table, tmp_path) == 4
