"""The log that training reads: the same in parts as in one."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import models.dataset
import models.training_log
from features.demo_shop.simulate import World, simulate
from features.offline.store import OfflineStore
from models.baskets import companions
from models.dataset import actions, between, interactions
from models.split import Split, temporal_split
from models.stages import Stages
from models.training_log import training_log
from tests.support.histories import DAY_MS, Happened, log_of, tasteful, wines


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> OfflineStore:
    """Return a demo shop."""
    store = OfflineStore(tmp_path_factory.mktemp("shop"))
    simulate(store, World(3_000, 0, datetime(2026, 11, 1, tzinfo=UTC)))
    return store


@pytest.mark.parametrize("kept", [True, False])
def test_parts_make_the_whole(
    store: OfflineStore, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shoppers, events and profiles are those of the log that is read at once."""
    monkeypatch.setattr(models.training_log, "PART_EVENTS", 700)
    told = training_log(store, Stages(tmp_path if kept else None))
    whole = actions(store.event_log())
    assert len([*tmp_path.glob("read-*")]) == (5 if kept else 0)
    assert told.user_ids == whole.user_ids
    assert told.profiles == whole.profiles
    np.testing.assert_array_equal(told.offsets, whole.offsets)
    np.testing.assert_array_equal(told.records, whole.records)


def test_a_store_without_events_has_an_empty_log(tmp_path: Path) -> None:
    """No parts, no error."""
    told = training_log(OfflineStore(tmp_path), Stages())
    assert (told.user_ids, told.offsets.tolist(), len(told.records)) == ((), [0], 0)


@pytest.mark.parametrize("at_once", [1, 50, 10_000])
def test_baskets_are_the_same_however_many_shoppers_at_once(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No basket is cut in two, none made of two shoppers'."""
    happened = [Happened(shopper, item, 9.0) for shopper in range(40) for item in (0, shopper % 7)]
    log, catalogue = log_of(happened, 40, wines(7)), wines(7)
    whole = companions(log, catalogue)
    monkeypatch.setattr(models.dataset, "_AT_ONCE", at_once)
    told = companions(log, catalogue)
    assert whole is not None
    assert told is not None
    assert len(whole.rows) > 5
    np.testing.assert_array_equal(told.offsets, whole.offsets)
    np.testing.assert_array_equal(told.rows, whole.rows)
    np.testing.assert_array_equal(told.scores, whole.scores)


@pytest.mark.parametrize("until_ms", [None, 19_200 * DAY_MS])
def test_pairs_are_the_same_however_many_shoppers_at_once(
    until_ms: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each, some, all of them: and before a cut as if nothing had come after it."""
    log, catalogue = tasteful(), wines(60)
    past = log if until_ms is None else between(log, 0, until_ms)
    whole = interactions(past, catalogue).arrays()
    for at_once in (1, 50, 10_000):
        monkeypatch.setattr(models.dataset, "_AT_ONCE", at_once)
        told = interactions(log, catalogue, until_ms).arrays()
        for name, array in whole.items():
            np.testing.assert_array_equal(told[name], array)


def test_no_shoppers_have_no_pairs() -> None:
    """An empty log is no error."""
    assert len(interactions(log_of([], 0, wines(3)), wines(3))) == 0


@pytest.mark.parametrize("day", [19_270, 1])
def test_a_split_survives_as_arrays(day: int) -> None:
    """Whatever was judged is judged again, and where nobody is nobody is."""
    log, catalogue = tasteful(), wines(60)
    split = temporal_split(log, catalogue, day * DAY_MS, (day + 60) * DAY_MS)
    again = Split.of(split.arrays(), log, len(catalogue), split.cut_ms)
    assert len(again) == len(split)
    assert bool(len(split)) == (day > 1)
    for name, array in split.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)
    for one, other in ((split.blocked, again.blocked), (split.wanted, again.wanted)):
        assert [rows.tolist() for rows in one] == [rows.tolist() for rows in other]
