"""Cuts in time: nothing that is learnt for a split can see past its cut."""

import numpy as np

from features.eventlog import EventLog
from features.events import EventType, Records
from models.choices import Choices
from models.dataset import past_of
from models.examples import examples_of
from models.fit import fit
from models.model import Model
from models.parts import Parts
from models.split import LEAST_HISTORY, Split, leave_last_out, temporal_split
from tests.support.histories import DAY_MS, Happened, log_of, tasteful, wines

CATALOGUE = wines(60)
CUT_MS, END_MS = 19_270 * DAY_MS, 19_330 * DAY_MS


def _with(log: EventLog, records: Records) -> EventLog:
    return EventLog(log.user_ids, log.offsets, records, log.profiles)


def _altered(log: EventLog) -> EventLog:
    """Return the log with every event after the cut about another item, refused and dear."""
    records = log.records.copy()
    later = records["ts"] >= CUT_MS
    records["item"][later] = np.roll(records["item"][later], 7)
    records["value"][later] = 1_000_000
    records["tag"][later] ^= 1  # purchases become other events
    return _with(log, records)


def _made(log: EventLog) -> tuple[Split, Parts]:
    split = temporal_split(log, CATALOGUE, CUT_MS, END_MS)
    return split, fit(split.past, split.known, CATALOGUE, Choices(), CUT_MS)


def test_no_row_sees_its_own_future() -> None:
    """Whatever happens after the cut, scores, segments, statistics and features stay the same."""
    log = tasteful()
    (split, parts), (other, same) = _made(log), _made(_altered(log))
    assert parts.personal is not None
    assert same.personal is not None
    np.testing.assert_array_equal(parts.personal.item_stats, same.personal.item_stats)
    np.testing.assert_array_equal(parts.personal.inputs, same.personal.inputs)
    np.testing.assert_array_equal(parts.segments.popularity, same.segments.popularity)
    examples = examples_of(Model(parts), split)
    past = past_of(_altered(log), split.users, CUT_MS)
    asked = Split(past, other.known, CUT_MS, split.users, split.blocked, split.wanted)
    np.testing.assert_array_equal(examples.features, examples_of(Model(same), asked).features)
    assert len(examples.labels) > 100


def test_the_past_ends_before_the_cut() -> None:
    """The last event of the past lies before the cut, and something was cut off."""
    log = tasteful()
    split = temporal_split(log, CATALOGUE, CUT_MS, END_MS)
    assert int(split.past.records["ts"].max()) < CUT_MS
    assert int(split.known.ts.max()) < CUT_MS
    assert len(split.past.records) < len(log.records)


def test_judged_are_those_with_a_history_who_wanted_something_new() -> None:
    """Too short a history, nothing wanted, or nothing new: not judged."""
    history = [(user, item, 1.0 + item) for user in (0, 1, 2) for item in range(LEAST_HISTORY)]
    happened = [Happened(*each) for each in history]
    happened += [Happened(3, item, 1.0 + item) for item in range(LEAST_HISTORY - 1)]
    happened += [
        Happened(0, 9, 20),
        Happened(0, 2, 21),  # again, so not new
        Happened(1, 3, 20),  # again
        Happened(2, 9, 20, EventType.RATING, 3.5),  # did not like it
        Happened(3, 9, 20),
    ]
    log = log_of(happened, 5, CATALOGUE)
    split = temporal_split(log, CATALOGUE, 15 * DAY_MS, 25 * DAY_MS)
    assert split.users.tolist() == [0]
    assert [wanted.tolist() for wanted in split.wanted] == [[9]]
    assert sorted(split.blocked[0].tolist()) == list(range(LEAST_HISTORY))


def test_what_comes_after_the_end_is_not_wanted() -> None:
    """Labels come from between the cut and the end only."""
    happened = [Happened(0, item, 1.0 + item) for item in range(LEAST_HISTORY)]
    log = log_of([*happened, Happened(0, 9, 30)], 1, CATALOGUE)
    assert len(temporal_split(log, CATALOGUE, 15 * DAY_MS, 30 * DAY_MS)) == 0


def test_the_last_that_was_wanted_is_left_out_with_all_after_it() -> None:
    """Of each shopper with a history: the click on it before, and what came later, too."""
    happened = [Happened(user, item, 1.0 + item) for user in (0, 1) for item in range(6)]
    happened += [
        Happened(0, 9, 19, EventType.CLICK),  # of the pair that is left out
        Happened(0, 8, 19.5, EventType.CLICK),
        Happened(0, 9, 20),
        Happened(0, 7, 21, EventType.RATING, 2.0),  # later, and not liked
        Happened(2, 4, 30),  # too short a history: all of it may be learnt from
    ]
    log = log_of(happened, 3, CATALOGUE)
    split = leave_last_out(log, CATALOGUE)
    assert split.users.tolist() == [0, 1]
    assert [wanted.tolist() for wanted in split.wanted] == [[9], [5]]
    assert split.asked_ms is not None
    assert split.asked_ms.tolist() == [20 * DAY_MS, 6 * DAY_MS]
    assert [moment.as_of_ms for moment in split.moments()] == split.asked_ms.tolist()
    assert [len(split.past.of(user)) for user in range(3)] == [7, 5, 1]
    assert split.known.met()[[9, 7, 8, 4]].tolist() == [0, 0, 1, 3]


def test_how_much_history_is_judged_can_be_told() -> None:
    """Those with a few items, and those with none, have splits of their own."""
    happened = [Happened(0, item, 1.0 + item) for item in range(3)]
    happened += [Happened(0, 9, 20), Happened(1, 9, 20)]
    log = log_of(happened, 2, CATALOGUE)
    span = 15 * DAY_MS, 25 * DAY_MS
    assert temporal_split(log, CATALOGUE, *span, (1, 4)).users.tolist() == [0]
    assert temporal_split(log, CATALOGUE, *span, (0, 0)).users.tolist() == [1]


def test_an_empty_log_has_an_empty_split() -> None:
    """No shoppers, no error."""
    assert len(temporal_split(log_of([], 0, CATALOGUE), CATALOGUE, 1, 2)) == 0
    assert len(leave_last_out(log_of([], 0, CATALOGUE), CATALOGUE)) == 0
