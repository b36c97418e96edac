"""Every shopper's events as one array, and the rings they leave."""

import numpy as np

from features.eventlog import NO_RECORDS, EventLog, rings
from features.events import RECORD, EventType
from features.history import HISTORY_CAP, HISTORY_TYPES, RECENT_CAP
from tests.support.behaviour import KINDS, as_records


def test_each_shopper_has_their_own_slice() -> None:
    """Shoppers without events have an empty one."""
    records = as_records([(n, 1, 0, 1) for n in range(5)])
    log = EventLog(("a", "b", "c"), np.array([0, 2, 2, 5]), records)

    assert [log.of(user)["ts"].tolist() for user in range(3)] == [[0, 1], [], [2, 3, 4]]


def test_rings_keep_the_latest_of_their_kinds() -> None:
    """The short ring has all but impressions, the long one what is remembered for long."""
    rows = [(n, 1, 0, n % 8) for n in range(4_000)]
    recent, history = rings(as_records(rows))

    short = [ts for ts, _, _, code in rows if KINDS[code] is not EventType.IMPRESSION]
    long = [ts for ts, _, _, code in rows if KINDS[code] in HISTORY_TYPES]
    assert recent["ts"].tolist() == short[-RECENT_CAP:]
    assert history["ts"].tolist() == long[-HISTORY_CAP:]
    assert (len(recent), len(history)) == (RECENT_CAP, HISTORY_CAP)


def test_no_events_leave_empty_rings() -> None:
    """Nothing in, nothing out, of the right type."""
    recent, history = rings(NO_RECORDS)

    assert recent.dtype == history.dtype == RECORD
    assert len(recent) == len(history) == 0
