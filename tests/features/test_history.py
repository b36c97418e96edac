"""What events say of items: grades, refusals, and what must not be shown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.eventlog import NO_RECORDS
from features.events import CODE_MASK, RECORD, TYPE_CODES, EventType, Records, type_codes
from features.history import (
    GRADED_ITEMS,
    HISTORY_TYPES,
    LOW_STARS,
    RECENT_TYPES,
    Tastes,
    bought,
    disliked,
    grades_of,
    merge_rings,
    tastes_of,
)
from tests.support.behaviour import DAY_MS, KINDS, ROWS, Row, as_records

CLICK, CART, UNCART = EventType.CLICK, EventType.ADD_TO_CART, EventType.REMOVE_FROM_CART
BUY, RATE, REFUSE = EventType.PURCHASE, EventType.RATING, EventType.NOT_INTERESTED
BY_RATING = (np.arange(16) == TYPE_CODES[RATE]).astype(np.float32)


def did(*events: tuple[EventType, int] | tuple[EventType, int, float]) -> Records:
    """Return records of (type, item, value?), a millisecond apart."""
    rows = [(*each, 0.0)[:3] for each in events]
    return np.array(
        [
            (at, item, round(value * 100), at << 4 | TYPE_CODES[kind])
            for at, (kind, item, value) in enumerate(rows)
        ],
        RECORD,
    )


def tastes(records: Records, limit: int = GRADED_ITEMS) -> Tastes:
    """Return what one shopper's records say."""
    return tastes_of(records, np.zeros(len(records), np.int64), limit)


@pytest.mark.parametrize(
    ("kind", "value", "grade"),
    [
        (CLICK, 0, 0.3),
        (CART, 0, 0.6),
        (BUY, 9.99, 1.0),
        (RATE, 5, 1.0),
        (RATE, 4, 1.0),
        (RATE, 3.99, 0.5),
        (RATE, 3.5, 0.5),
        (RATE, 3.49, 0.1),
        (RATE, 0, 0.1),
        (UNCART, 0, 0),
        (REFUSE, 0, 0),
        (EventType.SESSION, 30, 0),
        (EventType.IMPRESSION, 0, 0),
    ],
)
def test_grades(kind: EventType, value: float, grade: float) -> None:
    """Each kind of event has its grade; to learn from, low stars are hardly nothing."""
    assert grades_of(did((kind, 1, value))).tolist() == [np.float32(grade)]


def test_the_best_grade_counts_and_the_latest_comes_last() -> None:
    """An item met more than once has its best grade, and the place of its latest event."""
    told = tastes(did((BUY, 1), (CLICK, 2), (CART, 3), (CLICK, 1)))

    assert told.graded.tolist() == [2, 3, 1]
    assert told.grades.tolist() == np.array([0.3, 0.6, 1.0], np.float32).tolist()


def test_a_refused_item_says_nothing_of_taste() -> None:
    """Whatever else was done with it, before or after."""
    told = tastes(did((CLICK, 1), (REFUSE, 1), (BUY, 1), (CLICK, 2)))

    assert told.graded.tolist() == [2]


@pytest.mark.parametrize(
    ("events", "graded"),
    [
        ([(CART, 1), (UNCART, 1)], []),
        ([(CLICK, 2), (CART, 1), (UNCART, 1)], [(2, CLICK)]),
        ([(CLICK, 1), (CLICK, 2), (CART, 1), (UNCART, 1)], [(1, CLICK), (2, CLICK)]),
        ([(CART, 1), (UNCART, 1), (CLICK, 1)], [(1, CLICK)]),
        ([(CART, 1), (UNCART, 1), (CART, 1)], [(1, CART)]),
        ([(CART, 1), (BUY, 1), (UNCART, 1)], [(1, BUY)]),
        ([(RATE, 1, 3.5), (CART, 1), (UNCART, 1)], [(1, RATE)]),
    ],
)
def test_what_was_taken_out_of_the_basket_was_not_put_in(
    events: list[tuple[EventType, int] | tuple[EventType, int, float]],
    graded: list[tuple[int, EventType]],
) -> None:
    """Not as what was put in; that it was looked at, put in again, rated or bought does."""
    told = tastes(did(*events))
    codes = zip(told.graded.tolist(), told.graded_codes.tolist(), strict=True)
    assert list(codes) == [(item, TYPE_CODES[kind]) for item, kind in graded]


@pytest.mark.parametrize(
    ("events", "is_liked"),
    [
        ([(RATE, 1, 0)], False),
        ([(RATE, 1, 2.99)], False),
        ([(RATE, 1, 3)], True),
        ([(CLICK, 1), (CART, 1), (BUY, 1), (RATE, 1, 2)], False),
        ([(RATE, 1, 5), (RATE, 1, 2)], False),
        ([(RATE, 1, 2), (CLICK, 1), (CART, 1)], False),
        ([(RATE, 1, 2), (RATE, 1, 4)], True),
        ([(RATE, 1, 2), (BUY, 1)], True),
    ],
)
def test_what_is_rated_low_says_nothing_for_taste(
    events: list[tuple[EventType, int] | tuple[EventType, int, float]], *, is_liked: bool
) -> None:
    """Whatever came before, and what is no verdict after; and it is bought again by no rule.

    What was bought or rated better since is liked, and nothing against what is like it.
    """
    records, alone = did((CLICK, 2), *events), np.zeros(len(events) + 1, np.int64)
    told = tastes(records)
    assert told.graded.tolist() == ([2, 1] if is_liked else [2])
    assert told.blocked.tolist() == [1]
    against = disliked(records, alone, BY_RATING, LOW_STARS).items.tolist()
    assert (1 in against) is not is_liked
    assert bought(records, alone).items.tolist() == ([1] if is_liked else [])


@pytest.mark.parametrize(
    ("events", "is_paid"),
    [
        ([(BUY, 1)], True),
        ([(CLICK, 1), (CART, 1), (BUY, 1)], True),
        ([(CART, 1), (BUY, 1), (CART, 1)], False),
        ([(CART, 1), (BUY, 1), (CART, 1), (BUY, 1)], True),
        ([(BUY, 1), (CART, 1), (UNCART, 1)], True),
        ([(CART, 1), (CART, 1), (UNCART, 1), (CART, 1), (BUY, 1), (RATE, 1, 4)], True),
        ([(RATE, 1, 4), (CART, 1)], False),
    ],
)
def test_what_is_bought_is_out_of_the_basket(
    events: list[tuple[EventType, int] | tuple[EventType, int, float]], *, is_paid: bool
) -> None:
    """So that it may be shown again some day; until it is put in once more."""
    records = did(*events)
    told = bought(records, np.zeros(len(records), np.int64))
    assert told.items.tolist() == ([1] if is_paid else [])


@pytest.mark.parametrize(
    ("events", "against"),
    [
        ([CART, UNCART], [1]),
        ([CART, UNCART, CLICK], [1]),
        ([CART, UNCART, CART], []),
        ([CART, UNCART, BUY], []),
        ([CART, BUY, UNCART], []),
        ([CART, BUY, CART, UNCART], [1]),
        ([UNCART], [1]),
    ],
)
def test_what_was_taken_out_and_bought_is_not_disliked(
    events: list[EventType], against: list[int]
) -> None:
    """As little as what was put in again, though the basket was cleared after it was paid."""
    by_removal = (np.arange(16) == TYPE_CODES[UNCART]).astype(np.float32)
    records = did(*((kind, 1) for kind in events))
    told = disliked(records, np.zeros(len(records), np.int64), by_removal, LOW_STARS)
    assert told.items.tolist() == against


def test_what_was_disliked_last_is_last() -> None:
    """Shopper by shopper, whatever their items are called: of many the latest count."""
    by_refusal = (np.arange(16) == TYPE_CODES[REFUSE]).astype(np.float32)
    events = [(REFUSE, 4), (REFUSE, 9), (CLICK, 3), (REFUSE, 7), (REFUSE, 4), (CLICK, 9)]
    told = disliked(did(*events, *events), np.repeat([0, 1], len(events)), by_refusal, LOW_STARS)
    assert told.by.tolist() == [0, 0, 0, 1, 1, 1]
    assert told.items.tolist() == [9, 7, 4] * 2


def test_only_the_latest_items_count() -> None:
    """Of more items than the limit the latest are kept, and refusing one makes room."""
    events = [(CLICK, n) for n in range(1, 100)]

    assert tastes(did(*events)).graded.tolist() == list(range(100 - GRADED_ITEMS, 100))
    refused = tastes(did(*events, (REFUSE, 99)), limit=3)
    assert refused.graded.tolist() == [96, 97, 98]


@pytest.mark.parametrize("records", [NO_RECORDS, did((EventType.SESSION, 0, 5))])
def test_nothing_told_is_nothing_graded(records: Records) -> None:
    """A shopper without a telling event has no taste and no blocked item."""
    told = tastes(records)
    assert [len(getattr(told, each)) for each in Tastes.__slots__] == [0] * 6


@pytest.mark.parametrize(
    ("events", "blocked"),
    [
        ([(BUY, 1), (RATE, 2, 4), (REFUSE, 3), (CLICK, 4)], [1, 2, 3]),
        ([(CART, 1)], [1]),
        ([(CART, 1), (UNCART, 1)], []),
        ([(CART, 1), (UNCART, 1), (CART, 1)], [1]),
        ([(CART, 1), (BUY, 1), (UNCART, 1)], [1]),
        ([(UNCART, 1)], []),
    ],
)
def test_what_must_not_be_shown(events: list[tuple[EventType, int]], blocked: list[int]) -> None:
    """Bought, rated, refused, or in the basket as it is now."""
    assert tastes(did(*events)).blocked.tolist() == blocked


@given(ROWS)
def test_blocked_items_are_those_of_plain_python(rows: list[Row]) -> None:
    """The same set as walking through the events one by one."""
    owned, basket = set(), set()
    for _, item, _, code in rows:
        kind = KINDS[code]
        if kind in {BUY, RATE, REFUSE}:
            owned.add(item)
        if kind is CART:
            basket.add(item)
        if kind is UNCART:
            basket.discard(item)

    assert tastes(as_records(rows)).blocked.tolist() == sorted(owned | basket)


@given(ROWS)
def test_graded_items_are_those_of_plain_python(rows: list[Row]) -> None:
    """Best grade, order of the latest telling event, without refused, rated low, put back."""
    records = as_records(rows)
    best: dict[int, float] = {}
    moved = {item: KINDS[code] for _, item, _, code in rows if KINDS[code] in (CART, UNCART)}
    for (_, item, _, code), grade in zip(rows, grades_of(records).tolist(), strict=True):
        is_removed = KINDS[code] is CART and moved[item] is UNCART
        if grade > 0 and not is_removed:
            best[item] = max(grade, best.pop(item, 0.0))
    refused = {item for _, item, _, code in rows if KINDS[code] is REFUSE}
    verdicts = {
        item: KINDS[code] is BUY or value >= 300
        for _, item, value, code in rows
        if KINDS[code] in (BUY, RATE)
    }
    expected = [
        (item, grade)
        for item, grade in best.items()
        if item not in refused and verdicts.get(item, True)
    ]

    told = tastes(records)

    assert list(zip(told.graded.tolist(), told.grades.tolist(), strict=True)) == expected


@given(st.lists(ROWS, max_size=6), st.integers(1, 5))
def test_many_shoppers_are_each_one(many: list[list[Row]], limit: int) -> None:
    """Side by side each shopper's tastes are what they are alone."""
    records = [as_records(rows) for rows in many]
    shoppers = np.repeat(np.arange(len(many)), [len(each) for each in records])
    joined = tastes_of(np.concatenate([NO_RECORDS, *records]), shoppers, limit)
    alone = [tastes(each, limit) for each in records]

    graded = [(n, *row) for n, each in enumerate(alone) for row in pairs(each)]
    told = zip(joined.graded_by.tolist(), pairs(joined), strict=True)
    assert [(n, *row) for n, row in told] == graded
    blocked = [(n, item) for n, each in enumerate(alone) for item in each.blocked.tolist()]
    assert list(zip(joined.blocked_by.tolist(), joined.blocked.tolist(), strict=True)) == blocked


SPREAD = 0x9E3779B97F4A7C15
"""An odd number: times it, small numbers differ in their leading bits, as hashes do."""


@given(st.lists(ROWS, min_size=1, max_size=4), st.sampled_from([0, 1 << 15, 1 << 16, 1 << 40]))
def test_hashes_may_lie_close_together_and_shoppers_be_many(
    many: list[list[Row]], first: int
) -> None:
    """What is told does not depend on how hashes are spread, nor on how shoppers are numbered."""
    records = np.concatenate([NO_RECORDS, *map(as_records, many)])
    shoppers = np.repeat(np.arange(len(many)), [len(rows) for rows in many])
    spread = records.copy()
    spread["item"] *= np.uint64(SPREAD)

    near, far = tastes_of(records, shoppers + first), tastes_of(spread, shoppers)

    assert (near.graded * np.uint64(SPREAD)).tolist() == far.graded.tolist()
    assert near.grades.tolist() == far.grades.tolist()
    assert (near.graded_by - first).tolist() == far.graded_by.tolist()
    blocked = zip((near.blocked_by - first).tolist(), near.blocked.tolist(), strict=True)
    expected = zip(far.blocked_by.tolist(), far.blocked.tolist(), strict=True)
    assert {(by, item * SPREAD % 2**64) for by, item in blocked} == set(expected)


def pairs(told: Tastes) -> list[tuple[int, float]]:
    """Return items with their grades."""
    return list(zip(told.graded.tolist(), told.grades.tolist(), strict=True))


def test_rings_are_merged_without_doubles() -> None:
    """The long ring is taken up to where the short one begins; either may be empty."""
    events, nothing = did(*((BUY, n) for n in range(1, 9))), NO_RECORDS
    rings = [
        (events[5:], events[:7]),
        (nothing, nothing),
        (events, events[2:4]),
        (nothing, events),
        (events, nothing),
    ]
    for recent, history in rings:
        merged, shoppers = merge_rings([(recent, history)])
        assert merged.tolist() == (events.tolist() if len(recent) + len(history) else [])
        assert shoppers.tolist() == [0] * len(merged)
    merged, shoppers = merge_rings(rings)
    assert merged.tolist() == events.tolist() * 4
    assert shoppers.tolist() == np.repeat([0, 2, 3, 4], len(events)).tolist()
    assert [len(each) for each in merge_rings([])] == [0, 0]


@given(st.lists(st.tuples(ROWS, st.integers(1, 40), st.integers(1, 40)), max_size=5))
def test_merged_rings_are_what_plain_python_makes_of_them(
    shoppers: list[tuple[list[Row], int, int]],
) -> None:
    """Of the long ring what stands before the short one's first event, however tags are ordered."""
    rings, expected = [], []
    for number, (rows, recent, history) in enumerate(shoppers):
        records = as_records([(row[0] // DAY_MS, *row[1:]) for row in rows])
        places = np.arange(len(records))
        records["tag"] = places * 37 % 41 << 4 | records["tag"] & CODE_MASK
        short, long = (
            places[np.isin(type_codes(records), [TYPE_CODES[kind] for kind in kinds])][-most:]
            for kinds, most in ((RECENT_TYPES, recent), (HISTORY_TYPES, history))
        )
        rings.append((records[short], records[long]))
        older = long[long < short[0]] if len(short) else long
        expected += [(number, *records.item(at)) for at in (*older, *short)]

    merged, by = merge_rings(rings)

    assert [(n, *event) for n, event in zip(by.tolist(), merged.tolist(), strict=True)] == expected
