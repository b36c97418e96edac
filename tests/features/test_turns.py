"""Turns: told apart from stamps, and the order of events within a millisecond."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.events import RECORD, Event, EventType, Records, pack_event
from features.turns import TURNS, in_order, stamps, with_turns, without_turns
from tests.support.behaviour import as_records

ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, TURNS - 1)), max_size=30)


def plain(rows: list[tuple[int, int]]) -> Records:
    """Return records of some stamps, an item each, at the end of what stamps may be."""
    return as_records([(4_102_444_800_000 - ts, n, 1, 1) for n, (ts, _) in enumerate(rows)])


@given(ROWS)
def test_turns_are_laid_beside_stamps(rows: list[tuple[int, int]]) -> None:
    """Nothing else of a record changes by them, and they go without a trace."""
    records, turns = plain(rows), np.array([turn for _, turn in rows], np.uint16)
    held = with_turns(records, turns)
    assert stamps(held).tolist() == records["ts"].tolist()
    assert held[["item", "value", "tag"]].tolist() == records[["item", "value", "tag"]].tolist()
    assert without_turns(b"head" + held.tobytes(), 4).tolist() == records.tolist()


@given(ROWS)
def test_events_are_ordered_by_stamp_turn_and_tag(rows: list[tuple[int, int]]) -> None:
    """As plain Python sorts them."""
    records, turns = plain(rows), [turn for _, turn in rows]
    keys = list(zip(records["ts"].tolist(), turns, records["tag"].tolist(), strict=True))
    expected = sorted(range(len(rows)), key=keys.__getitem__)
    told = in_order(with_turns(records, np.array(turns, np.uint16)))
    assert told["item"].tolist() == expected


def test_an_event_is_packed_with_its_turn() -> None:
    """A record is the same whichever way it came by its turn."""
    event = Event("e", EventType.CLICK, "u", 0.0, "i")
    bare = np.frombuffer(pack_event(event, 5), RECORD)
    told = with_turns(bare, np.array([999], np.uint16))
    assert told.tobytes() == pack_event(event, 5, 999)
