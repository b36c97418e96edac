"""No row sees its own future: neither through the join nor in a single feature."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.computation.point_in_time import known_at
from features.computation.slices import Slices
from features.computation.vector import feature_vectors
from features.declared import FEATURE_NAMES, FEATURES
from features.eventlog import EventLog, rings
from features.events import Event, EventType, Records
from features.history import HISTORY_CAP, RECENT_CAP, merge_rings
from features.moments import Moment, Moments
from features.offline.store import OfflineStore
from features.online.store import ShopperQuery
from features.online.stream_entries import Entry
from features.online.valkey_store import ValkeyStore
from features.stream.archive import events_table
from tests.support.behaviour import (
    DAY_MS,
    KINDS,
    MOMENTS,
    NOW_MS,
    ROWS,
    Row,
    as_records,
    before,
    reference,
)


def log_of(*shoppers: Records) -> EventLog:
    """Return a log of shoppers named u0, u1 and so on."""
    ends = np.cumsum([0, *map(len, shoppers)])
    return EventLog(
        tuple(f"u{n}" for n in range(len(shoppers))),
        ends.astype(np.int64),
        np.concatenate(shoppers),
    )


@given(ROWS, MOMENTS, st.lists(st.tuples(st.integers(0, 400 * DAY_MS), st.integers(0, 7))))
def test_what_happens_later_changes_nothing(
    rows: list[Row], moment: Moment, later: list[tuple[int, int]]
) -> None:
    """Any events at or after the moment leave what is known, and every feature, as they were."""
    past = before(rows, moment.as_of_ms)
    future = sorted((moment.as_of_ms + wait, 5, 999, code) for wait, code in later)
    other = as_records([(NOW_MS, 1, 1, 4)])

    alone = known_at(log_of(as_records(past)), [0], [moment])
    told = known_at(log_of(other, as_records(past + future), other), [1], [moment])

    assert told.of(0).tolist() == alone.of(0).tolist()
    assert told.vectors().values.tobytes() == alone.vectors().values.tobytes()
    assert told.vectors().missing.tobytes() == alone.vectors().missing.tobytes()
    assert all(told.of(0)["ts"] < moment.as_of_ms)


@given(st.lists(st.tuples(ROWS, MOMENTS), max_size=4))
def test_the_join_equals_plain_python(pairs: list[tuple[list[Row], Moment]]) -> None:
    """For shoppers below the caps the join's vectors are those of the plain sums.

    Impressions are not kept online, so no feature may see them.
    """
    kept = [[row for row in rows if KINDS[row[3]] != EventType.IMPRESSION] for rows, _ in pairs]
    log = log_of(*(as_records(rows) for rows, _ in pairs), as_records([]))
    moments = [moment for _, moment in pairs]

    told = known_at(log, range(len(pairs)), moments).vectors()

    expected = [
        reference(before(rows, moment.as_of_ms), moment, FEATURES)
        for rows, moment in zip(kept, moments, strict=True)
    ]
    assert [
        list(zip(*each, strict=True))
        for each in zip(told.values.tolist(), told.missing.tolist(), strict=True)
    ] == expected


@given(st.lists(ROWS, min_size=1, max_size=3), st.lists(st.tuples(st.integers(0, 2), MOMENTS)))
def test_the_join_is_what_rings_would_hold(
    shoppers: list[list[Row]], asked: list[tuple[int, Moment]]
) -> None:
    """Every pair sees, to the bit, what is left of its shopper's past in rings of any length."""
    log = log_of(*map(as_records, shoppers))
    users = [number % len(shoppers) for number, _ in asked]
    moments = [moment for _, moment in asked]
    with pytest.MonkeyPatch.context() as patch:
        for module in ("eventlog", "computation.point_in_time"):
            patch.setattr(f"features.{module}.RECENT_CAP", 3)
            patch.setattr(f"features.{module}.HISTORY_CAP", 4)
        told = known_at(log, users, moments)
        pasts = [
            log.of(user)[log.of(user)["ts"] < moment.as_of_ms]
            for user, moment in zip(users, moments, strict=True)
        ]
        online = [merge_rings([rings(past)])[0] for past in pasts]

    vectors = told.vectors()
    for pair, (moment, seen) in enumerate(zip(moments, online, strict=True)):
        assert told.of(pair).tolist() == seen.tolist()
        whole = Slices.whole(np.zeros(1, np.int64), np.array([len(seen)]))
        alone = feature_vectors(seen, whole, Moments.of([moment]))
        assert vectors.values[pair].tobytes() == alone.values.tobytes()
        assert vectors.missing[pair].tobytes() == alone.missing.tobytes()


@pytest.mark.parametrize(("days", "missing"), [(398, False), (400, True)])
def test_of_who_is_idle_for_too_long_nothing_is_known(days: int, missing: bool) -> None:
    """As by the online store; an impression since then is not kept, and changes nothing."""
    idle = NOW_MS - days * DAY_MS
    rows = [(idle - 9, 1, 1, 1), (idle, 1, 1, 1), (NOW_MS - 5, 1, 0, 0)]
    told = known_at(log_of(as_records(rows)), [0], [Moment(NOW_MS)])
    assert len(told.of(0)) == 2
    assert told.vectors().missing[0, FEATURE_NAMES.index("clicks_last_hour")] == missing


def test_no_moments_are_allowed() -> None:
    """Nobody at no moment is an empty join."""
    told = known_at(log_of(as_records([])), [], [])

    assert told.vectors().values.shape == (0, len(FEATURES))


def test_an_event_at_the_moment_itself_is_the_future() -> None:
    """What has the very stamp of the moment is not known yet, a millisecond earlier is."""
    log = log_of(as_records([(NOW_MS - 1, 1, 0, 1), (NOW_MS, 1, 0, 1), (NOW_MS + 1, 1, 0, 1)]))

    ends = [len(known_at(log, [0], [Moment(NOW_MS + at)]).of(0)) for at in (-1, 0, 1, 2)]

    assert ends == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", [EventType.CLICK, EventType.PURCHASE])
async def test_online_and_offline_vectors_are_the_same_bits(
    online_store: ValkeyStore, tmp_path: Path, kind: EventType
) -> None:
    """A shopper with more events than any ring holds has one vector, wherever it is computed."""
    rng = np.random.default_rng(4)
    count = RECENT_CAP + HISTORY_CAP + 150
    stamps = np.sort(NOW_MS - rng.integers(1, 20 * DAY_MS, count)).tolist()
    entries = [
        Entry(
            b"0-1",
            stamp,
            Event(
                f"e{n}",
                kind if n % 3 else KINDS[n % 8],
                "u1",
                stamp / 1000,
                item_id=f"i{n % 50}",
                value=round(float(rng.random() * 5), 2),
            ),
        )
        for n, stamp in enumerate(stamps)
    ]
    offline = OfflineStore(tmp_path)
    offline.append_events(events_table(entries))
    log = offline.event_log()
    for at in range(0, count, 40):
        await online_store.rings.apply([("u1", log.of(0)[at : at + 40])])
    moment = Moment(NOW_MS, "FR", 4.0, {"country": "FR", "age": 41})

    [read] = await online_store.read([ShopperQuery("u1", "b")])
    joined = known_at(log, [0], [moment])

    online, _ = merge_rings([(read.state.recent, read.state.history)])
    seen = Slices.whole(np.zeros(1, np.int64), np.array([len(online)]))
    served = feature_vectors(online, seen, Moments.of([moment]))
    assert online.tolist() == joined.of(0).tolist()
    assert served.values.tobytes() == joined.vectors().values.tobytes()
    assert served.missing.tobytes() == joined.vectors().missing.tobytes()
