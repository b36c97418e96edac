"""What shoppers have seen, beside what they wanted of it."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from features.demo_shop.simulate import World, simulate
from features.events import TYPE_CODES, EventType, type_codes
from features.ids import stable_hashes
from features.lists.exposures import Seen
from features.offline.store import OfflineStore
from models.dataset import Interactions, interactions
from models.exposures import UNKNOWN, Exposures
from models.item_table import ItemTable
from models.items import Items
from models.timeline import TEST, VALIDATION, Timeline
from models.training import read
from tests.support.histories import tasteful, wines

CATALOGUE = wines(5)
SHOP = wines(60)
UNTIL = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> OfflineStore:
    """Return the tables of a demo shop."""
    told = OfflineStore(tmp_path_factory.mktemp("shop"))
    simulate(told, World(100_000, 0, UNTIL))
    return told


@pytest.fixture(scope="module")
def timeline(store: OfflineStore) -> Timeline:
    """Return the past of the shop."""
    return read(store, 0)


def test_items_are_told_by_row_and_shoppers_by_number() -> None:
    """What is in no catalogue is left out."""
    asked: list[str] = []

    def see(user_ids: Sequence[str]) -> Seen:
        asked.extend(user_ids)
        ids = (CATALOGUE.item_ids[2], "gone", CATALOGUE.item_ids[0], CATALOGUE.item_ids[2])
        return Seen(np.array([0, 0, 1, 1]), stable_hashes(ids), np.array([5, 6, 7, 8]))

    items = Items(ItemTable.of(CATALOGUE))
    told = Exposures.of_log(("a", "b", "c"), np.array([0, 2]), items, see)
    assert asked == ["a", "c"]
    assert (told.of(0).tolist(), told.of(1).tolist(), told.of(2).tolist()) == ([2], [], [0, 2])
    assert told.between(7, 8).items.tolist() == [0]
    assert len(told.between(5, 8)) == 2
    assert Exposures(**told.arrays()).ts.tolist() == [5, 7, 8]
    assert UNKNOWN.of(0).tolist() == []


def test_what_is_shown_of_what_was_wanted_before_did_not_lead_to_it() -> None:
    """An order that is confirmed shows what was bought; what was only looked at may be wanted."""
    users, items = np.array([0, 0, 0, 0, 2, 2]), np.array([1, 1, 2, 3, 1, 4])
    told = Exposures(users, items, np.array([5, 6, 9, 9, 4, 4]))
    whose, which, when = np.array([0, 0, 1, 2]), np.array([1, 2, 1, 4]), np.array([5, 8, 1, 3])
    pairs = Interactions(whose, which, np.array([1, 0.3, 1, 1], np.float32), when, 3, 5)
    left = told.until_wanted(pairs)
    assert left.users.tolist() == [0, 0, 0, 2]
    assert left.items.tolist() == [1, 2, 3, 1]
    assert left.ts.tolist() == [5, 9, 9, 4]
    assert len(UNKNOWN.until_wanted(pairs)) == 0
    assert len(told.until_wanted(pairs.only(pairs.grades > 1))) == len(told)


def test_splits_look_at_what_led_to_what_was_wanted() -> None:
    """What the page of an order shows is no exposure."""
    log = tasteful()
    bought = interactions(log, SHOP)

    def see(user_ids: Sequence[str]) -> Seen:
        numbers = {user: number for number, user in enumerate(log.user_ids)}
        asked = np.array([numbers[each] for each in user_ids])
        theirs = bought.only(np.isin(bought.users, asked))
        places = {number: place for place, number in enumerate(asked.tolist())}
        by = np.array([places[user] for user in theirs.users.tolist()])
        hashes = stable_hashes([SHOP.item_ids[row] for row in theirs.items.tolist()])
        return Seen(by, hashes, theirs.ts + 1)

    assert len(Timeline(log, SHOP, 0, see=see).exposures) == 0


@pytest.mark.parametrize("cut", [VALIDATION, TEST])
def test_candidates_are_shown_that_were_seen_after_the_cut(
    timeline: Timeline, store: OfflineStore, cut: float
) -> None:
    """And before the end of what it looks on to; nearly all that is wanted was seen before."""
    examples, split = timeline.examples(cut), timeline.split(cut)
    start, end = timeline.moment(cut), timeline.moment(round(cut + 0.1, 6))
    log = store.event_log()
    rows = Items(ItemTable.of(timeline.catalogue)).rows_of
    for user, blocked in zip(split.users.tolist(), split.blocked, strict=True):
        events = log.of(user)
        inside = (events["ts"] >= start) & (events["ts"] < end)
        shown = type_codes(events) == TYPE_CODES[EventType.IMPRESSION]
        expected = np.setdiff1d(rows(events["item"][inside & shown]), blocked)
        told = timeline.exposures.between(start, end).of(user)
        assert np.setdiff1d(told, blocked).tolist() == expected.tolist()
    assert 0.01 < examples.shown.mean() < 0.3
    assert examples.shown[examples.labels > 0].mean() > 0.95


def test_where_nobody_looked_nothing_is_known(timeline: Timeline) -> None:
    """A past without its tables has no exposures, and the same candidates."""
    alone = Timeline(timeline.log, timeline.catalogue, 0)
    assert len(alone.exposures) == 0
    told, known = alone.examples(VALIDATION), timeline.examples(VALIDATION)
    assert not told.shown.any()
    np.testing.assert_array_equal(told.features, known.features)
    np.testing.assert_array_equal(told.labels, known.labels)
