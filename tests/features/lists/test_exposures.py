"""What shoppers have seen: impressions, and lists that they acted on."""

from pathlib import Path

import pytest

from features.erasure import Erasure
from features.events import EventType
from features.ids import stable_hash
from features.lists import exposures
from features.lists.exposures import ACTED_WITHIN_MS, seen
from features.offline.store import OfflineStore
from tests.support.listed import done, happen, list_line, serve

AT_MS = 1_760_000_000_000
SHOWN = EventType.IMPRESSION


@pytest.fixture
def store(tmp_path: Path) -> OfflineStore:
    """Return an empty store."""
    return OfflineStore(tmp_path)


def told(store: OfflineStore, *user_ids: str) -> list[tuple[str, int, int]]:
    """Return whom, which item (number) and when after `AT_MS`, of what these have seen."""
    numbers = {stable_hash(f"i{number}"): number for number in range(1, 10)}
    by, items, at_ms = seen(store, user_ids)
    rows = list(zip(by.tolist(), at_ms.tolist(), items.tolist(), strict=True))
    assert rows == sorted(rows)
    in_order = sorted((place, at - AT_MS, numbers[item]) for place, at, item in rows)
    return [(user_ids[place], number, at) for place, at, number in in_order]


def test_impressions_were_seen(store: OfflineStore) -> None:
    """Of those who are asked for, in order of time; what else was done is no impression."""
    happen(
        store,
        done("e1", "ben", "i2", AT_MS + 5, SHOWN),
        done("e2", "ben", "i1", AT_MS, SHOWN),
        done("e3", "ann", "i3", AT_MS + 1, SHOWN),
        done("e4", "ann", "i4", AT_MS + 2),
        done("e5", "eve", "i5", AT_MS, SHOWN),
    )
    assert told(store, "ben", "ann", "nobody") == [("ben", 1, 0), ("ben", 2, 5), ("ann", 3, 1)]
    assert told(store) == []


@pytest.mark.parametrize("kind", [EventType.CLICK, EventType.PURCHASE, EventType.NOT_INTERESTED])
def test_a_list_that_was_acted_on_was_seen(store: OfflineStore, kind: EventType) -> None:
    """All of it, by the first act; none was of which nothing was touched."""
    items = ["i1", "i2", "i3", "i4"]
    serve(
        store,
        list_line("r1", "ann", AT_MS, items),
        list_line("r2", "ann", AT_MS + 50, ["i8", "i9"]),
        list_line("r3", "ben", AT_MS, items),
    )
    happen(
        store,
        done("e1", "ann", "i3", AT_MS + 20, kind),
        done("e2", "ann", "i1", AT_MS + 30, kind),
        done("e3", "ben", "i9", AT_MS + 20, kind),
        done("e4", "ann", "i9", AT_MS + 40, kind),
    )
    assert told(store, "ann", "ben") == [("ann", number, 20) for number in (1, 2, 3, 4)]


def test_where_it_was_acted_on_does_not_matter(store: OfflineStore) -> None:
    """Lists that ended there would all have at their end what was wanted."""
    users = [f"u{place}" for place in range(4)]
    items = ["i1", "i2", "i3", "i4"]
    serve(store, *(list_line(f"r-{user}", user, AT_MS, items) for user in users))
    happen(store, *(done(f"e-{user}", user, items[at], AT_MS + 1) for at, user in enumerate(users)))
    assert told(store, *users) == [(user, number, 1) for user in users for number in (1, 2, 3, 4)]


@pytest.mark.parametrize(("after_ms", "counts"), [(-1, False), (0, True), (ACTED_WITHIN_MS, True)])
def test_acts_count_for_a_day(store: OfflineStore, after_ms: int, counts: bool) -> None:
    """What was done before the list, or later, says nothing of it; nor does an impression."""
    serve(store, list_line("r1", "ann", AT_MS, ["i1", "i2"]))
    happen(store, done("e1", "ann", "i1", AT_MS + after_ms))
    both = [("ann", 1, after_ms), ("ann", 2, after_ms)]
    assert told(store, "ann") == (both if counts else [])


def test_what_came_too_late_says_nothing(store: OfflineStore) -> None:
    """Nor does an impression: that is of the item alone."""
    serve(store, list_line("r1", "ann", AT_MS, ["i1", "i2"]))
    happen(
        store,
        done("e2", "ann", "i2", AT_MS + ACTED_WITHIN_MS + 1),
        done("e3", "ann", "i2", AT_MS + 1, SHOWN),
    )
    assert told(store, "ann") == [("ann", 2, 1)]


def test_what_was_merged_is_the_shoppers(store: OfflineStore) -> None:
    """A session that logged in: its lists and what it did are theirs."""
    serve(store, list_line("r1", "session:1", AT_MS, ["i1", "i2"]))
    happen(store, done("e1", "session:1", "i2", AT_MS + 5), done("e2", "ann", "i9", AT_MS))
    store.merge([("session:1", "ann", AT_MS + 10)])
    assert told(store, "ann") == [("ann", 1, 5), ("ann", 2, 5)]
    assert told(store, "session:1") == []


def test_who_was_forgotten_has_seen_nothing(store: OfflineStore) -> None:
    """Neither impressions nor lists are left."""
    serve(store, list_line("r1", "ann", AT_MS, ["i1"]), list_line("r2", "ben", AT_MS, ["i1"]))
    happen(
        store,
        *(done(f"e-{user}", user, "i1", AT_MS + 5) for user in ("ann", "ben")),
        *(done(f"f-{user}", user, "i2", AT_MS + 6, SHOWN) for user in ("ann", "ben")),
    )
    Erasure(store).forget({"ann": AT_MS + 10})
    assert told(store, "ann", "ben") == [("ben", 1, 5), ("ben", 2, 6)]


def test_many_shoppers_are_looked_at_in_parts(
    store: OfflineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few events at once, the same is told."""
    users = [f"u{number:02d}" for number in range(12)]
    serve(store, *(list_line(f"r-{user}", user, AT_MS, ["i1", "i2"]) for user in users))
    happen(
        store,
        *(done(f"e-{user}", user, "i1", AT_MS + 1) for user in users),
        *(done(f"f-{user}", user, "i3", AT_MS + 2, SHOWN) for user in users),
    )
    whole = told(store, *users)
    assert len(whole) == 3 * len(users)
    monkeypatch.setattr(exposures, "PART_EVENTS", 8)
    monkeypatch.setattr(exposures, "PART_LISTS", 2)
    assert told(store, *users) == whole
