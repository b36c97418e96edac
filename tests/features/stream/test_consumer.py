"""The consumers of the event stream: nothing lost, nothing doubled, whatever is killed."""

import asyncio
import contextlib
import json
import logging
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import orjson
import pytest
from redis import Redis

from features.errors import StoreError, StoreTimeoutError
from features.events import RECORD, Event, EventType, pack_event
from features.identity.forgotten import ForgottenList
from features.ids import stable_hash
from features.offline.store import OfflineStore
from features.offline.tidying import TIDY_AFTER_S
from features.online import keys
from features.online.embedded import EmbeddedValkey
from features.online.store import ShopperQuery, ShopperState
from features.online.stream_entries import MERGE, Entry, Merge, decode_entry, encode_event, stamp_of
from features.online.valkey_store import ValkeyStore
from features.stream.archive import Archive, events_table
from features.stream.consumer import Consumer, Sink
from features.stream.event_stream import (
    DEAD_LETTERS_KEPT,
    PAYLOAD_KEPT,
    Delivery,
    EventStream,
    Group,
    behind,
)
from features.stream.repair import Repair
from loadtests.faults.proxy import ChaosProxy
from tests.support.sending import taken

Run = Callable[[Group], Awaitable[None]]


def event(event_id: str, user_id: str = "u1", **fields: Any) -> Event:
    """Return a click on item i1 unless told otherwise."""
    plain: dict[str, Any] = {"type": EventType.CLICK, "timestamp": 1.5e9, "item_id": "i1"}
    return Event(event_id=event_id, user_id=user_id, **(plain | fields))


def many(count: int, prefix: str = "e") -> list[Event]:
    """Return that many events of a few shoppers."""
    return [event(f"{prefix}{n}", f"u{n % 7}") for n in range(count)]


@pytest.fixture
def raw(redis_url: str) -> Iterator[Any]:
    """Return a plain client to look behind the store."""
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def valkey_raw(valkey: EmbeddedValkey) -> Iterator[Any]:
    """Return a plain client of the wheel's server, for processes that use it."""
    with Redis.from_url(valkey.url) as client:
        yield client


@pytest.fixture
async def store(valkey: EmbeddedValkey) -> AsyncIterator[ValkeyStore]:
    """Return a store over the wheel's server, for processes that use it."""
    told = ValkeyStore(valkey.url)
    yield told
    await told.close()


@pytest.fixture
def offline(tmp_path: Path) -> OfflineStore:
    """Return an empty offline store."""
    return OfflineStore(tmp_path)


def left(raw: Any, group: Group) -> int:
    """Return how many entries the group has not acknowledged."""
    if not raw.exists(keys.STREAM):
        return 0
    groups = {each["name"].decode(): each for each in raw.xinfo_groups(keys.STREAM)}
    if group not in groups:
        return int(raw.xlen(keys.STREAM))
    return int(groups[group]["pending"] + (groups[group]["lag"] or 0))


async def drained(raw: Any, group: Group) -> None:
    """Return when the group has acknowledged every entry."""
    while left(raw, group):
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def consuming(
    store: ValkeyStore, sink: Sink, group: Group, name: str = "c", take_over_s: float = 60.0
) -> AsyncIterator[None]:
    """Run a consumer for as long as the block lasts."""
    stop = asyncio.Event()
    stream = EventStream(store.client, group, name)
    consumer = Consumer(stream, sink, stop, linger_s=0, take_over_s=take_over_s)
    await stream.join()
    task = asyncio.create_task(consumer.run())
    try:
        yield
    finally:
        stop.set()
        await task


@pytest.fixture
def run(online_store: ValkeyStore, offline: OfflineStore, raw: Any) -> Run:
    """Return a function that consumes as a group until nothing is left."""

    async def until_drained(group: Group) -> None:
        sink = (
            Archive(online_store, offline)
            if group is Group.OFFLINE
            else Repair(online_store, ForgottenList(offline.home))
        )
        async with consuming(online_store, sink, group, take_over_s=0):
            await drained(raw, group)

    return until_drained


def rows(offline: OfflineStore) -> list[dict[str, Any]]:
    """Return all events of the offline store by id."""
    return offline.scan("events").sort("event_id").collect().to_dicts()


async def state_of(store: ValkeyStore, user_id: str = "u1") -> ShopperState:
    """Return one shopper's state."""
    return (await store.read([ShopperQuery(user_id, "b")]))[0].state


async def test_events_are_kept_as_they_were_told(
    online_store: ValkeyStore, offline: OfflineStore, run: Run
) -> None:
    """Every field comes through, with the server's stamp beside the client's time."""
    told = event(
        "é",
        type=EventType.PURCHASE,
        value=12.34,
        timestamp=1_500_000_000.25,
        recommendation_id="r",
        session_id="s",
        context={"device": "mobile", "n": [1, None]},
    )
    await online_store.append([told, event("z", type=EventType.SESSION, item_id=None)])
    stamps = (await state_of(online_store)).recent["ts"].tolist()

    await run(Group.OFFLINE)

    kept, other = sorted(rows(offline), key=lambda row: row["event_id"] == "z")
    assert kept["timestamp"].timestamp() == 1_500_000_000.25
    assert {round(row["arrived_at"].timestamp() * 1000) for row in (kept, other)} == set(stamps)
    assert kept["value"] == 12.34
    assert kept["context"] == '{"device":"mobile","n":[1,null]}'
    assert (kept["type"], kept["recommendation_id"], kept["session_id"]) == ("purchase", "r", "s")
    assert (other["item_id"], other["value"], other["context"]) == (None, None, None)


async def test_offline_log_equals_the_rings(
    online_store: ValkeyStore, offline: OfflineStore, run: Run
) -> None:
    """What the offline store makes of the stream is bit for bit what is in the rings."""
    rng = random.Random(5)
    kinds = [kind for kind in EventType if kind is not EventType.IMPRESSION]
    await online_store.append(
        [
            event(f"e{n}", type=rng.choice(kinds), value=round(rng.random() * 5, 2))
            for n in range(150)
        ]
    )

    await run(Group.OFFLINE)

    log = offline.event_log()
    assert log.of(0).tolist() == (await state_of(online_store)).recent.tolist()


async def test_the_same_event_again_is_not_doubled(
    online_store: ValkeyStore, offline: OfflineStore, raw: Any, run: Run
) -> None:
    """An id that is in the table already changes nothing, even when the stream has it twice."""
    await online_store.append([event("e1")])
    await run(Group.OFFLINE)
    raw.delete(*raw.keys("{events}:seen:*"))
    await online_store.append([event("e1"), event("e2")])
    await run(Group.OFFLINE)

    assert [row["event_id"] for row in rows(offline)] == ["e1", "e2"]


async def test_the_stream_is_kept_for_the_slowest_group(
    online_store: ValkeyStore, raw: Any, run: Run
) -> None:
    """An entry leaves the stream when all groups are done with it, and not before."""
    await online_store.append(many(20))

    await run(Group.ONLINE)
    assert raw.xlen(keys.STREAM) == 20
    await run(Group.OFFLINE)
    while raw.xlen(keys.STREAM):
        await asyncio.sleep(0.01)


async def test_pending_entries_are_not_trimmed(online_store: ValkeyStore, raw: Any) -> None:
    """What one consumer has in hand stays, whatever the other group and later entries do."""
    slow = EventStream(online_store.client, Group.OFFLINE, "slow")
    quick = EventStream(online_store.client, Group.ONLINE, "quick")
    await slow.join()
    await online_store.append(many(10))
    await quick.acknowledge(await quick.read(100, 10))
    first = await slow.read(4, 10)
    await slow.acknowledge(await slow.read(100, 10))

    assert await slow.trim() == 0
    await slow.acknowledge(first)
    assert await quick.trim() == 10
    assert raw.xlen(keys.STREAM) == 0


async def test_repair_enters_what_the_appender_did_not(online_store: ValkeyStore, run: Run) -> None:
    """Events that only reached the stream are in the rings, in order, once `online` passed."""
    events = [event("e1"), event("e2", type=EventType.PURCHASE, value=3.0)]
    stamps = await online_store._append_to_stream(events)
    assert not (await state_of(online_store)).known

    await run(Group.ONLINE)

    state = await state_of(online_store)
    expected = [
        pack_event(each, stamp // 1_000) for each, stamp in zip(events, stamps, strict=True)
    ]
    assert [record.tobytes() for record in state.recent] == expected
    assert len(state.history) == 1


async def test_repair_changes_nothing_where_nothing_is_broken(
    online_store: ValkeyStore, run: Run
) -> None:
    """What the appender finished keeps its revision, so cached answers stay true."""
    await online_store.append([event("e1"), event("e2")])
    before = (await state_of(online_store)).revision

    await run(Group.ONLINE)

    assert (await state_of(online_store)).revision == before


async def test_forgetting_reaches_the_tables(
    online_store: ValkeyStore, offline: OfflineStore, raw: Any, run: Run
) -> None:
    """What arrived before goes, offline as online; what arrives after stays; others stay."""
    await online_store.append([event("e1"), event("e2", "u2")])
    await run(Group.OFFLINE)
    await online_store.append([event("e3")])
    await online_store.forget("u1")
    stamp = (await online_store.rings.forgotten(["u1"]))["u1"]
    while int(raw.time()[0] * 1000 + raw.time()[1] / 1000) <= stamp:
        await asyncio.sleep(0.001)
    await online_store.append([event("e4")])

    await run(Group.OFFLINE)

    assert [row["event_id"] for row in rows(offline)] == ["e2", "e4"]
    assert len((await state_of(online_store)).recent) == 1


async def test_a_tombstone_done_late_spares_what_came_later(
    online_store: ValkeyStore, offline: OfflineStore, raw: Any
) -> None:
    """Whatever order entries are done in, and how often, the tables end up the same."""
    stream = EventStream(online_store.client, Group.OFFLINE, "c")
    await stream.join()
    for entry_id, fields in (
        ("1000-0", {"event": b'{"event_id":"a","type":"session","user_id":"o\'x","timestamp":1}'}),
        ("2000-0", {"forget": "o'x"}),
        ("3000-0", {"event": b'{"event_id":"b","type":"session","user_id":"o\'x","timestamp":1}'}),
    ):
        raw.xadd(keys.STREAM, fields, entry_id)
    before, tombstone, after = (await stream.read(10, 10)).entries
    sink = Archive(online_store, offline)
    for batch in ([after], [before], [tombstone], [tombstone, after], [after, tombstone]):
        await sink.take(batch)
        assert {row["event_id"] for row in rows(offline)} >= {"b"}
    assert [row["event_id"] for row in rows(offline)] == ["b"]

    await online_store.rings.forget_until("o'x", 2000)
    await sink.take([before])
    assert [row["event_id"] for row in rows(offline)] == ["b"]


async def test_a_tombstone_alone_forgets_online(
    online_store: ValkeyStore, raw: Any, run: Run
) -> None:
    """A shopper whose forgetting got no further than the stream is forgotten by the consumer."""
    await online_store.append([event("e1")])
    await online_store.put_profiles({"u1": {"age": 40}})
    raw.xadd(keys.STREAM, {"forget": "u1"})

    await run(Group.ONLINE)

    assert not (await state_of(online_store)).known


async def test_dead_letters_of_the_forgotten_go(
    online_store: ValkeyStore, raw: Any, run: Run
) -> None:
    """Whatever they say of them; those of others stay, and there may be many."""
    for user in ('u"é', "u2", "a longer one than u2"):
        told = orjson.dumps({"user_id": user}).decode()
        raw.xadd(keys.STREAM, {"event": told})
        raw.xadd(keys.STREAM, {"event": json.dumps({"user_id": user})})
        raw.xadd(keys.STREAM, {"who": user})
    for number in range(600):
        raw.xadd(keys.DEAD_LETTERS, {"payload": f'{{"who": "other {number}"}}'})
    await run(Group.OFFLINE)
    assert raw.xlen(keys.DEAD_LETTERS) == 609

    await online_store.forget('u"é')
    await online_store.forget("u2")
    await run(Group.ONLINE)

    payloads = [told[b"payload"].decode() for _, told in raw.xrange(keys.DEAD_LETTERS)]
    assert all("other" in each or "longer" in each for each in payloads)
    assert len(payloads) == 606


async def test_tables_are_tidied_once_a_day_at_least(
    online_store: ValkeyStore, offline: OfflineStore, raw: Any
) -> None:
    """However few events come, and though each process lives shorter than a day."""
    moments = [0.0]
    stream = EventStream(online_store.client, Group.OFFLINE, "c")
    await stream.join()
    files = []
    for number in range(4):
        await online_store.append([event(f"e{number}")])
        moments.append(moments[-1] + (TIDY_AFTER_S - 1 if number in {0, 3} else 1.5))
        sink = Archive(online_store, offline, clock=partial(max, moments))
        await sink.take((await stream.read(10, 10)).entries)
        files.append(len(offline.paths("events")))
    assert files == [1, 2, 3, 1]
    assert raw.xlen(keys.STREAM) == 4


async def test_a_day_that_cannot_be_noted_is_told(
    online_store: ValkeyStore, offline: OfflineStore
) -> None:
    """As what the store cannot do: the consumer tries again."""
    offline.home.mkdir(exist_ok=True)
    (offline.home / "offline").write_text("in the way")
    with pytest.raises(StoreError, match=r"\.tidied: Not a directory"):
        await Archive(online_store, offline).take([])


async def test_tables_are_tidied_where_shoppers_are_only_forgotten(
    online_store: ValkeyStore, offline: OfflineStore
) -> None:
    """No event comes any more, and what holds the forgotten is removed all the same."""
    now = 0.0
    sink = Archive(online_store, offline, clock=lambda: now)
    for number in range(2):
        told = Entry(b"1-1", 1, event(f"e{number}"))
        await sink.take([told])
    assert len(offline.paths("events")) == 2

    now = TIDY_AFTER_S
    await sink.take([Entry(b"2-1", 2, forget="nobody")])

    assert len(offline.paths("events")) == 1


def tables_of(offline: OfflineStore) -> dict[str, list[Any]]:
    """Return the records of each shopper, as the tables have them."""
    log = offline.event_log()
    return {user_id: log.of(number).tolist() for number, user_id in enumerate(log.user_ids)}


@pytest.mark.parametrize("first", list(Group))
async def test_a_merge_alone_merges(
    online_store: ValkeyStore, offline: OfflineStore, raw: Any, run: Run, first: Group
) -> None:
    """A process that died after telling the stream leaves all of it to be done, in any order."""
    await online_store.append([event("e1", "s"), event("e2", "ann", item_id="i2")])
    raw.xadd(keys.STREAM, {MERGE: Merge("s", "ann").encode()})
    await run(first)
    await run(next(group for group in Group if group is not first))
    state = await state_of(online_store, "ann")
    assert state.recent["item"].tolist() == [stable_hash("i1"), stable_hash("i2")]
    assert not (await state_of(online_store, "s")).known
    assert tables_of(offline) == {"ann": state.recent.tolist()}


async def test_an_event_that_comes_late_is_led_on(
    online_store: ValkeyStore, offline: OfflineStore, raw: Any, run: Run
) -> None:
    """What was in the stream and not in the rings when its shopper was merged, twice, is not lost.

    Nor is it where the process that took it enters it into rings only now.
    """
    late = event("late", "s")
    stamp = stamp_of(raw.xadd(keys.STREAM, {b"event": encode_event(late)}))
    await asyncio.sleep(0.002)
    await online_store.merge("s", "t")
    await asyncio.sleep(0.002)
    await online_store.merge("t", "ann")
    record = np.frombuffer(pack_event(late, stamp), RECORD)
    assert await online_store.rings.apply([("s", record)]) == 0
    assert not (await state_of(online_store, "ann")).known
    for group in Group:
        await run(group)
    assert (await state_of(online_store, "ann")).recent.tolist() == record.tolist()
    for gone in ("s", "t"):
        assert not (await state_of(online_store, gone)).known
    assert tables_of(offline) == {"ann": record.tolist()}


async def test_forgetting_reaches_what_was_merged(
    online_store: ValkeyStore, offline: OfflineStore, raw: Any, run: Run
) -> None:
    """Also what comes late of it, and a merge that is noted after the tombstone."""
    await online_store.append([event("e1", "s"), event("e2", "ann"), event("e3", "ben")])
    await run(Group.OFFLINE)
    late = event("late", "s")
    raw.xadd(keys.STREAM, {b"event": encode_event(late)})
    await asyncio.sleep(0.002)
    await online_store.merge("s", "ann")
    await online_store.forget("ann")
    for group in Group:
        await run(group)
    assert [row["event_id"] for row in rows(offline)] == ["e3"]
    for user_id in ("s", "ann"):
        assert not (await state_of(online_store, user_id)).known
    assert not len(offline.scan("merges").collect())


async def test_a_merge_noted_late_is_forgotten_too(
    online_store: ValkeyStore, offline: OfflineStore
) -> None:
    """Where another consumer took the tombstone first."""
    await online_store.append([event("e1", "s")])
    archive = Archive(online_store, offline)
    stamp = int((await state_of(online_store, "s")).recent["ts"][0])
    await archive.take([Entry(b"1-1", stamp, event("e1", "s"))])
    forgotten_ms = await online_store.forget("ann")
    await archive.take([Entry(b"1-3", forgotten_ms, forget="ann")])
    assert [row["event_id"] for row in rows(offline)] == ["e1"]
    await archive.take([Entry(b"1-2", stamp, merge=Merge("s", "ann"))])
    assert rows(offline) == []
    assert not len(offline.scan("merges").collect())


@pytest.mark.parametrize("merge", [b"", b"{", b"[]", b'["a"]', b'["a", ""]', b'["a", 1]'])
async def test_a_merge_that_is_none_is_put_aside(
    online_store: ValkeyStore, raw: Any, run: Run, merge: bytes
) -> None:
    """It stops nobody."""
    await online_store.append([event("e1")])
    raw.xadd(keys.STREAM, {MERGE: merge})
    await run(Group.ONLINE)
    assert raw.xlen(keys.DEAD_LETTERS) == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({b"event": b"{"}, b"unreadable"),
        ({b"event": b"\xff\xfe"}, b"unreadable"),
        ({b"event": b'{"type":"click"}'}, b"event."),
        ({b"event": b"[]"}, b"expected an object"),
        ({b"forget": b""}, b"forget"),
        ({b"forget": b"\xff"}, b"unreadable"),
        ({b"other": b"x" * 100_000}, b"neither"),
    ],
)
async def test_unusable_entries_are_put_aside(
    online_store: ValkeyStore,
    offline: OfflineStore,
    raw: Any,
    run: Run,
    fields: dict[bytes, bytes],
    reason: bytes,
) -> None:
    """What can never be used is kept apart with its reason; what stands around it is taken."""
    await online_store.append([event("e1")])
    entry_id = raw.xadd(keys.STREAM, fields)
    await online_store.append([event("e2")])

    await run(Group.OFFLINE)

    assert len(rows(offline)) == 2
    [(_, letter)] = raw.xrange(keys.DEAD_LETTERS)
    assert letter[b"entry"] == entry_id
    assert letter[b"group"] == b"offline"
    assert reason in letter[b"reason"]
    assert len(letter[b"payload"]) <= PAYLOAD_KEPT


async def test_dead_letters_are_bounded_and_not_repeated(
    online_store: ValkeyStore, raw: Any
) -> None:
    """The same entry is put aside once, and the oldest dead letters make room."""
    raw.xadd(keys.STREAM, {"x": "y"})
    stream = EventStream(online_store.client, Group.OFFLINE, "c")
    await stream.join()
    delivery = await stream.read(10, 10)
    await stream.acknowledge(delivery)
    await stream.acknowledge(delivery)
    assert raw.xlen(keys.DEAD_LETTERS) == 1

    pipeline = raw.pipeline()
    for _ in range(DEAD_LETTERS_KEPT + 500):
        pipeline.xadd(keys.DEAD_LETTERS, {"x": "y"})
        pipeline.xadd(keys.STREAM, {"x": "y"})
    pipeline.execute()
    await stream.acknowledge(await stream.read(600, 10))
    assert raw.xlen(keys.DEAD_LETTERS) <= DEAD_LETTERS_KEPT + 200


async def test_what_the_dead_had_in_hand_is_taken_over(
    online_store: ValkeyStore, offline: OfflineStore, raw: Any
) -> None:
    """Entries of a consumer that never acknowledges are claimed once it was silent for long."""
    dead = EventStream(online_store.client, Group.OFFLINE, "dead")
    await dead.join()
    await online_store.append(many(30))
    assert len(await dead.read(100, 10)) == 30

    sink = Archive(online_store, offline)
    async with consuming(online_store, sink, Group.OFFLINE, take_over_s=3600):
        await online_store.append(many(1, "later"))
        while left(raw, Group.OFFLINE) != 30:
            await asyncio.sleep(0.01)
    async with consuming(online_store, sink, Group.OFFLINE, take_over_s=0):
        await drained(raw, Group.OFFLINE)

    assert len(rows(offline)) == 31


async def test_what_got_lost_on_the_way_is_read_again(
    online_store: ValkeyStore, offline: OfflineStore, raw: Any
) -> None:
    """Entries whose delivery never arrived need no other consumer, and no hour of silence."""

    class Lossy(EventStream):
        loses = True

        async def read(self, count: int, block_ms: int) -> Delivery:
            told = await super().read(count, block_ms)
            if len(told) and self.loses:
                self.loses = False
                raise StoreTimeoutError("the answer came too late")
            return told

    stop = asyncio.Event()
    stream = Lossy(online_store.client, Group.OFFLINE, "c")
    await stream.join()
    await online_store.append(many(30))
    sink = Archive(online_store, offline)
    consumer = Consumer(stream, sink, stop, linger_s=0, take_over_s=3600)
    task = asyncio.create_task(consumer.run())
    await drained(raw, Group.OFFLINE)
    stop.set()
    await task

    assert not stream.loses
    assert len(rows(offline)) == 30


async def test_consumers_with_nothing_in_hand_are_struck_off(
    online_store: ValkeyStore, raw: Any
) -> None:
    """Who leaves is no longer listed, unless entries wait for somebody to take them over."""
    idle, busy = (EventStream(online_store.client, Group.ONLINE, name) for name in ("i", "b"))
    await idle.join()
    await online_store.append([event("e1")])
    assert len(await busy.read(1, 10)) == 1
    assert not len(await idle.read(1, 10))

    await idle.leave()
    await busy.leave()

    assert [each["name"] for each in raw.xinfo_consumers(keys.STREAM, "online")] == [b"b"]
    assert left(raw, Group.ONLINE) == 1


async def test_a_store_that_forgot_everything_is_joined_again(
    online_store: ValkeyStore, offline: OfflineStore, raw: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A consumer whose group is gone makes it anew, and says once that something was wrong."""
    caplog.set_level(logging.INFO, "cuvee.features.consumer")
    async with consuming(online_store, Archive(online_store, offline), Group.OFFLINE):
        while not raw.info("clients")["blocked_clients"]:
            await asyncio.sleep(0.01)
        raw.flushall()
        await online_store.append([event("e1")])
        while not offline.count("events"):
            await asyncio.sleep(0.01)

    told = [record.getMessage() for record in caplog.records]
    assert len([each for each in told if "nothing is lost" in each]) == 1
    assert told.count("works again") == 1


async def test_tables_that_cannot_be_written_hold_the_entries_back(
    online_store: ValkeyStore,
    offline: OfflineStore,
    tmp_path: Path,
    raw: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is acknowledged while the tables fail; once they do not, all of it is there."""
    (tmp_path / "offline").write_text("in the way")
    async with consuming(online_store, Archive(online_store, offline), Group.OFFLINE):
        await online_store.append(many(50))
        while not caplog.records:
            await asyncio.sleep(0.01)
        assert left(raw, Group.OFFLINE) == 50
        (tmp_path / "offline").unlink()
        await drained(raw, Group.OFFLINE)

    assert len(rows(offline)) == 50
    assert len([each for each in caplog.records if "offline store" in each.getMessage()]) == 1


def test_rows_are_packed_to_the_same_record(tmp_path: Path) -> None:
    """An event that went through the tables has the record that its appender packed."""
    told = event("e", type=EventType.RATING, value=3.555)
    entry = decode_entry(b"1234567-1", {b"event": encode_event(told)})
    store = OfflineStore(tmp_path)
    store.append_events(events_table([entry]))

    assert entry.event is not None
    expected = np.frombuffer(pack_event(entry.event, 1_234_567), RECORD)
    assert store.event_log().records.tolist() == expected.tolist()


class Process:
    """A consumer as its users start it."""

    def __init__(self, group: Group, home: Path, url: str | None, *options: str) -> None:
        """Start it."""
        environment = {name: told for name, told in os.environ.items() if name != "CUVEE_REDIS_URL"}
        environment |= {"CUVEE_HOME": str(home)} | ({"CUVEE_REDIS_URL": url} if url else {})
        self.log = home / f"{group}.log"
        command = [sys.executable, "-m", "features", "consume", "--group", group]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--linger", "0", *options], env=environment, stdout=log, stderr=log
            )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave nothing running."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def alive(self) -> bool:
        """Tell whether it runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        self._process.terminate()
        return self._process.wait()

    def told(self) -> str:
        """Return what it has logged."""
        return self.log.read_text()


async def test_how_far_groups_are_behind(store: ValkeyStore) -> None:
    """What is in hand counts, and what nobody has read; nothing is nothing."""
    assert await behind(store.client) == {}
    await store.append(many(30))
    stream = EventStream(store.client, Group.OFFLINE, "one")
    await stream.join()
    assert await behind(store.client) == {"offline": 30, "online": 30}
    delivery = await stream.read(10, 10)
    assert (await behind(store.client))["offline"] == 30
    await stream.acknowledge(delivery)
    assert await behind(store.client) == {"offline": 20, "online": 30}


async def test_killed_between_write_and_acknowledgement(
    store: ValkeyStore, valkey: EmbeddedValkey, tmp_path: Path, valkey_raw: Any
) -> None:
    """Rows that were written but not acknowledged are delivered again, and not doubled."""
    offline = OfflineStore(tmp_path)
    await store.append(many(300))
    async with ChaosProxy(valkey.socket_path, tmp_path / "p", hold=b"XACK") as proxy:
        with Process(Group.OFFLINE, tmp_path, proxy.url) as doomed:
            await proxy.held.wait()
            doomed.kill()
    assert offline.count("events") == 300
    assert left(valkey_raw, Group.OFFLINE) == 300

    with Process(Group.OFFLINE, tmp_path, valkey.url, "--take-over", "0") as successor:
        await drained(valkey_raw, Group.OFFLINE)
        assert successor.stop() == 0

    assert len({row["event_id"] for row in rows(offline)}) == len(rows(offline)) == 300
    assert "took over 300 entries" in successor.told()


@pytest.mark.slow
async def test_killed_at_any_moment(
    store: ValkeyStore, valkey: EmbeddedValkey, tmp_path: Path, valkey_raw: Any
) -> None:
    """However often consumers are killed while events come in, each event is kept once."""
    rng = random.Random(3)
    offline = OfflineStore(tmp_path)
    count = 0
    for turn in range(3):
        with Process(Group.OFFLINE, tmp_path, valkey.url, "--take-over", "0") as process:
            written = offline.count("events")
            while process.alive():
                await taken(store, many(40, f"{turn}-{count}-"))
                count += 40
                await asyncio.sleep(0.01)  # a process that is slow to start gets no more for it
                if offline.count("events") > written:
                    await asyncio.sleep(rng.random() * 0.1)  # any moment is meant
                    process.kill()
    with Process(Group.OFFLINE, tmp_path, valkey.url, "--take-over", "0") as process:
        await drained(valkey_raw, Group.OFFLINE)
        assert process.stop() == 0

    assert offline.count("events") == count
    assert len({row["event_id"] for row in rows(offline)}) == count


async def test_a_stopped_consumer_finishes_and_leaves(
    store: ValkeyStore, valkey: EmbeddedValkey, tmp_path: Path, valkey_raw: Any
) -> None:
    """SIGTERM ends it with 0, nothing in hand, struck off, and one line for each change."""
    await store.append(many(10))
    with Process(Group.OFFLINE, tmp_path, valkey.url) as process:
        while not valkey_raw.exists(keys.STREAM) or valkey_raw.xlen(keys.STREAM) == 0:
            await asyncio.sleep(0.01)
        while not OfflineStore(tmp_path).count("events"):
            await asyncio.sleep(0.01)
        assert process.stop() == 0

    assert OfflineStore(tmp_path).count("events") == 10
    assert left(valkey_raw, Group.OFFLINE) == 0
    assert valkey_raw.xinfo_consumers(keys.STREAM, "offline") == []
    assert len(process.told().splitlines()) == 2


async def test_a_full_disk_is_survived(
    store: ValkeyStore, valkey: EmbeddedValkey, tmp_path: Path, valkey_raw: Any
) -> None:
    """A process that may write no more keeps entries in the stream, and goes on when it may."""
    offline = OfflineStore(tmp_path)
    await store.append(many(10))
    with Process(Group.OFFLINE, tmp_path, valkey.url) as process:
        await drained(valkey_raw, Group.OFFLINE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        await store.append(many(25, "more"))
        while left(valkey_raw, Group.OFFLINE) != 25:
            await asyncio.sleep(0.01)
        resource.prlimit(
            process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
        await drained(valkey_raw, Group.OFFLINE)
        assert process.stop() == 0

    assert offline.count("events") == 35


async def test_a_store_that_goes_away_is_waited_for(tmp_path: Path) -> None:
    """The embedded server is killed and comes back; the consumer goes on, having said so once."""
    with EmbeddedValkey(tmp_path, {"appendfsync": "always"}) as server:
        store = ValkeyStore(server.url)
        with (
            Redis.from_url(server.url) as raw,
            Process(Group.ONLINE, tmp_path, None) as process,
        ):
            while "consuming" not in process.told():
                await asyncio.sleep(0.01)
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            while "nothing is lost" not in process.told():
                await asyncio.sleep(0.01)
            server.start()
            await store._append_to_stream([event("e1")])
            while "works again" not in process.told():
                await asyncio.sleep(0.01)
            await drained(raw, Group.ONLINE)
            assert (await state_of(store)).known
            assert process.stop() == 0
        await store.close()

    assert process.told().count("nothing is lost") == 1


@pytest.mark.parametrize("group", list(Group))
def test_no_store_is_told_in_one_line(tmp_path: Path, group: Group) -> None:
    """Where nothing runs and nothing is named the user is told what to do."""
    with Process(group, tmp_path, None) as process:
        assert process._process.wait() == 2

    assert process.told().splitlines()[-1].startswith("error: CUVEE_REDIS_URL: unset")
    assert "Traceback" not in process.told()
