"""What was known of shoppers beside events, before their records were changed and after."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from features.offline.delta import DeltaTables
from features.offline.profiles import Profiles
from features.offline.store import OfflineStore
from features.offline.tables import CHANGES, USERS
from features.training.labels import Labels
from features.training.training_set import write_training_set

LATER_MS = 4_000_000_000_000
"""A moment that no record was changed after."""


@pytest.fixture
def store(tmp_path: Path) -> OfflineStore:
    """Return a store whose shopper u1 grew older twice; u2 never changed."""
    told = OfflineStore(tmp_path)
    told.put_users(users(("u1", "FR", '{"age":40}'), ("u2", "IT", '{"age":20}')))
    for age in (41, 42):
        told.put_users(users(("u1", "FR", f'{{"age":{age}}}'), ("u2", "IT", '{"age":20}')))
    return told


def users(*rows: tuple[str, str | None, str | None]) -> pa.Table:
    """Return rows of the users table."""
    return pa.Table.from_pylist(
        [dict(zip(USERS.names, row, strict=True)) for row in rows], schema=USERS
    )


def changed_ms(store: OfflineStore) -> list[int]:
    """Return when records were replaced."""
    until = store.scan(CHANGES).select(pl.col("until").dt.epoch("ms").sort()).collect()
    return until["until"].to_list()


def ages(store: OfflineStore, moments: list[int], user_id: str = "u1") -> list[object]:
    """Return how old a shopper was known to be at some moments."""
    shoppers = pl.Series("user_id", [user_id])
    profiles = Profiles.of(store.scan("users"), store.scan(CHANGES), shoppers)
    known = profiles.at(np.zeros(len(moments), np.int64), np.array(moments, np.int64))
    return [None if each is None else each["age"] for each in known]


def test_a_record_counts_until_it_is_replaced(store: OfflineStore) -> None:
    """The first from the beginning, the last for ever; a change counts from its moment on."""
    first, second = changed_ms(store)

    assert ages(store, [0, first - 1]) == [40, 40]
    assert ages(store, [second - 1]) == ([41] if second > first else [40])
    assert ages(store, [second, LATER_MS]) == [42, 42]
    assert ages(store, [0, LATER_MS], "u2") == [20, 20]
    assert ages(store, [0], "u3") == [None]


def test_no_label_changes_when_a_record_does_later(store: OfflineStore, tmp_path: Path) -> None:
    """A training set sees what was known at each row's moment."""

    def made() -> list[object]:
        path = tmp_path / "set.parquet"
        rows = pl.DataFrame({"user_id": ["u1", "u1", "u2"]})
        moments = np.array([0, changed_ms(store)[1], 0], np.int64)
        write_training_set(store, Labels(rows, moments), path)
        return pl.read_parquet(path)["age"].to_list()

    before = made()
    store.put_users(users(("u1", "FR", '{"age":99}'), ("u2", None, '{"age":99}')))

    assert before == made() == [40, 42, 20]


def test_equal_records_are_no_change(store: OfflineStore) -> None:
    """The same file a second time adds nothing."""
    before = changed_ms(store)

    assert store.put_users(users(("u1", "FR", '{"age":42}'))).changed == 0
    assert changed_ms(store) == before


def test_a_change_that_was_noted_and_not_made_is_noted_once(
    store: OfflineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who died between the two commits has told when; whoever comes again only replaces."""
    later = users(("u1", "FR", '{"age":43}'), ("u2", "IT", '{"age":20}'))
    with monkeypatch.context() as patched:
        patched.setattr(DeltaTables, "overwrite", _dies)
        with pytest.raises(KeyboardInterrupt):
            store.put_users(later)
    noted = changed_ms(store)

    assert store.put_users(later).changed == 1
    assert changed_ms(store) == noted
    assert ages(store, [noted[-1] - 1, LATER_MS]) == [42, 43]
    store.put_users(users(("u1", "FR", '{"age":42}')))
    store.put_users(users(("u1", "FR", '{"age":43}')))
    assert len(changed_ms(store)) == len(noted) + 2  # back and forth are changes, each


def _dies(*_: object) -> None:
    raise KeyboardInterrupt


def test_earlier_records_are_forgotten_and_replaced_with_the_others(store: OfflineStore) -> None:
    """DELETE reaches them, and another shop has none."""
    store.put_users(users(("u2", "IT", '{"age":21}')))
    store.forget({"u1": 0})

    assert store.scan(CHANGES).collect()["user_id"].to_list() == ["u2"]
    store.replace("users", users(("u2", "IT", '{"age":50}')))
    assert ages(store, [0], "u2") == [50]
