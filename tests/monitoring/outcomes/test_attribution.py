"""Which list an event is credited to: the one it names, else the last that showed its item."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.erasure import Erasure
from features.events import EventType
from features.offline.store import OfflineStore
from features.offline.translated import collected
from monitoring.outcomes import attribution
from monitoring.outcomes.attribution import Attribution, Tables
from monitoring.outcomes.policy import HOUR_MS, parse_policy
from tests.support.listed import done, happen, list_line, serve

AT_MS = 1_760_000_000_000
POLICY = parse_policy("{}", "x")
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def store(tmp_path: Path) -> OfflineStore:
    """Return an empty store."""
    return OfflineStore(tmp_path)


def credited(
    store: OfflineStore, since_ms: int = AT_MS - DAY_MS, until_ms: int = AT_MS + 30 * DAY_MS
) -> Attribution:
    """Return what lists of a span are credited with."""
    return Tables(store, POLICY, since_ms, until_ms).attribution()


def pairs(told: Attribution) -> dict[str, tuple[str, int, bool]]:
    """Return list, position and way by event."""
    rows = told.credits.select("event_id", "recommendation_id", "position", "by_id").rows()
    return {event: (found, position, by_id) for event, found, position, by_id in rows}


def test_the_list_that_is_named_comes_first(store: OfflineStore) -> None:
    """Though another showed the item later; and the last one where none is named."""
    serve(
        store,
        list_line("r1", "ann", AT_MS, ["i1", "i2"]),
        list_line("r2", "ann", AT_MS + 10, ["i2", "i3"], 10),
    )
    happen(
        store,
        done("e1", "ann", "i2", AT_MS + 20, list_id="r1"),
        done("e2", "ann", "i2", AT_MS + 20),
        done("e3", "ann", "i1", AT_MS + 20),
        done("e4", "ann", "i2", AT_MS + 5),
    )
    told = credited(store)
    assert pairs(told) == {
        "e1": ("r1", 1, True),
        "e2": ("r2", 10, False),
        "e3": ("r1", 0, False),
        "e4": ("r1", 1, False),
    }
    assert (told.events, told.by_id, told.before) == (4, 1, 0)
    row = told.credits.row(by_predicate=pl.col("event_id") == "e2", named=True)
    assert (row["shopper"], row["delay_ms"], row["served_ms"]) == ("ann", 10, AT_MS + 10)
    assert (row["model_version"], row["page"], row["segment"]) == ("v1", "home", "type=Red")


def test_a_name_that_does_not_fit_counts_as_none(store: OfflineStore) -> None:
    """A list that did not show the item, or that nobody knows: the last one that did, if any."""
    serve(store, list_line("r1", "ann", AT_MS, ["i1"]), list_line("r2", "ann", AT_MS + 1, ["i2"]))
    happen(
        store,
        done("e1", "ann", "i1", AT_MS + 20, list_id="r2"),
        done("e2", "ann", "i2", AT_MS + 20, list_id="gone"),
        done("e3", "ann", "i9", AT_MS + 20, list_id="r1"),
        done("e4", "ben", "i1", AT_MS + 20),
        done("e5", "ann", "i1", AT_MS - 1),
    )
    told = credited(store)
    assert pairs(told) == {"e1": ("r1", 0, False), "e2": ("r2", 0, False)}
    assert told.events == 5


def test_only_so_long_after_the_list(store: OfflineStore) -> None:
    """By type; the last touch is too old where it is, whatever was before."""
    serve(store, list_line("r1", "ann", AT_MS, ["i1"]))
    late = [
        ("c1", EventType.CLICK, 24 * HOUR_MS, True),
        ("c2", EventType.CLICK, 24 * HOUR_MS + 1, False),
        ("a1", EventType.ADD_TO_CART, 24 * HOUR_MS + 1, False),
        ("p1", EventType.PURCHASE, 168 * HOUR_MS, True),
        ("p2", EventType.PURCHASE, 168 * HOUR_MS + 1, False),
    ]
    for name, kind, delay, _ in late:
        happen(
            store,
            done(name, "ann", "i1", AT_MS + delay, kind, value=2.5),
            done(f"{name}-id", "ann", "i1", AT_MS + delay, kind, "r1", 2.5),
        )
    happen(store, done("s", "ann", "i1", AT_MS, EventType.NOT_INTERESTED, "r1"))
    expected = {name for name, *_, counts in late if counts}
    told = credited(store)
    assert pairs(told).keys() == expected | {f"{name}-id" for name in expected}
    assert told.credits.filter(type="purchase")["value"].to_list() == [2.5, 2.5]


def test_an_item_twice_is_shown_where_it_is_first(store: OfflineStore) -> None:
    """Each event counts once; two events of an item are two."""
    serve(store, list_line("r1", "ann", AT_MS, ["i1", "i2", "i1"]))
    happen(
        store, done("e1", "ann", "i1", AT_MS + 1), done("e2", "ann", "i1", AT_MS + 2, list_id="r1")
    )
    assert pairs(credited(store)) == {"e1": ("r1", 0, False), "e2": ("r1", 0, True)}


def test_who_was_merged_is_one_shopper(store: OfflineStore) -> None:
    """The session's list and the shopper's purchase; what the session did later is its own."""
    serve(
        store,
        list_line("r1", "session:1", AT_MS, ["i1"]),
        list_line("r2", "session:1", AT_MS + 20, ["i2"]),
    )
    store.merge([("session:1", "ann", AT_MS + 10)])
    happen(
        store,
        done("e1", "ann", "i1", AT_MS + 30),
        done("e2", "ann", "i2", AT_MS + 30),
        done("e3", "session:1", "i2", AT_MS + 30),
        done("e4", "session:1", "i1", AT_MS + 5),
        done("e5", "ann", "i2", AT_MS + 31, list_id="r2"),
    )
    told = credited(store)
    assert pairs(told) == {
        "e1": ("r1", 0, False),
        "e3": ("r2", 0, False),
        "e4": ("r1", 0, False),
        "e5": ("r2", 0, True),
    }
    whose = dict(told.credits.select("event_id", "shopper").rows())
    assert whose == {"e1": "ann", "e3": "session:1", "e4": "ann", "e5": "session:1"}


def test_who_was_forgotten_is_in_nothing(store: OfflineStore) -> None:
    """Neither their lists nor what they did; others stay."""
    for user in ("ann", "ben"):
        serve(store, list_line(f"r-{user}", user, AT_MS, ["i1"]))
        happen(store, done(f"e-{user}", user, "i1", AT_MS + 1))
    Erasure(store).forget({"ann": AT_MS + 5})
    told = credited(store)
    assert ({*pairs(told)}, told.events) == ({"e-ben"}, 1)
    assert Tables(store, POLICY, 0, 1 << 43).lists().collect()["shopper"].to_list() == ["ben"]


def test_a_clock_that_was_set_back(store: OfflineStore) -> None:
    """What names its list follows from it all the same, at once; else it may be before any."""
    serve(store, list_line("r1", "ann", AT_MS, ["i1"]))
    happen(
        store,
        done("e1", "ann", "i1", AT_MS - HOUR_MS, list_id="r1"),
        done("e2", "ann", "i1", AT_MS - HOUR_MS),
    )
    told = credited(store)
    assert (pairs(told), told.before) == ({"e1": ("r1", 0, True)}, 1)
    assert told.credits["delay_ms"].to_list() == [0]


def test_spans_share_no_event(store: OfflineStore) -> None:
    """What is credited to a list of one span is not to a list of another: a later list may win."""
    serve(store, list_line("r1", "ann", AT_MS, ["i1"]), list_line("r2", "ann", AT_MS + 10, ["i1"]))
    happen(store, done("e1", "ann", "i1", AT_MS + 20), done("e2", "ann", "i1", AT_MS + 5))
    assert pairs(credited(store, AT_MS, AT_MS + 10)).keys() == {"e2"}
    assert pairs(credited(store, AT_MS + 10, AT_MS + 20)).keys() == {"e1"}


@pytest.mark.parametrize("has", ["nothing", "lists", "events"])
def test_tables_that_are_not_there(store: OfflineStore, has: str) -> None:
    """No list, or no event, is no error."""
    if has == "lists":
        serve(store, list_line("r1", "ann", AT_MS, ["i1"]), list_line("r2", "ann", AT_MS, []))
    if has == "events":
        happen(store, done("e1", "ann", "i1", AT_MS), done("e2", "ann", "i1", AT_MS, list_id="r"))
    told = credited(store)
    assert (len(told.credits), told.events) == (0, 2 if has == "events" else 0)
    assert told.credits.schema == attribution.CREDITS


def test_parts_credit_as_the_whole_does(
    store: OfflineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few rows are looked at together, and as a plain loop over everything would."""
    random = np.random.default_rng(1)
    shown: list[tuple[str, str, int, list[str]]] = []
    for number in range(60):
        items = [f"i{n}" for n in random.permutation(9)[:4]]
        shown.append((f"r{number}", f"u{random.integers(4)}", AT_MS + 1_000 * number, items))
    acts = []
    for number in range(300):
        at, named = AT_MS + int(random.integers(-5_000, 70_000)), int(random.integers(120))
        named_id = f"r{named}" if named < 70 else None
        acts.append(
            (f"e{number}", f"u{random.integers(4)}", f"i{random.integers(9)}", at, named_id)
        )
    serve(store, *(list_line(name, user, at, items) for name, user, at, items in shown))
    happen(store, *(done(e, user, item, at, list_id=found) for e, user, item, at, found in acts))

    expected = {}
    by_id = {name: (name, items) for name, _, _, items in shown}
    for event, user, item, at, found in acts:
        if found in by_id and item in by_id[found][1]:
            expected[event] = (found, by_id[found][1].index(item), True)
            continue
        before = [each for each in shown if each[1] == user and each[2] <= at and item in each[3]]
        if before:
            expected[event] = (before[-1][0], before[-1][3].index(item), False)
    assert len(expected) > 150
    assert pairs(credited(store)) == expected
    sizes = list[int]()

    def measured(rows: pl.LazyFrame) -> pl.DataFrame:
        told = collected(rows)
        sizes.append(len(told))
        return told

    monkeypatch.setattr(attribution, "ROWS_AT_ONCE", 30)
    monkeypatch.setattr(attribution, "collected", measured)
    assert pairs(credited(store)) == expected
    assert len(sizes) > 10
    assert max(sizes) < 150
