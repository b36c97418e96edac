"""The online store over a real server: rings, answers, profiles, events, forgetting."""

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from redis import Redis

from features import anonymous
from features.errors import FieldError, InputError, StoreError, StoreFullError
from features.eventlog import rings
from features.events import RECORD, Event, EventType, Records, event_tag
from features.history import HISTORY_CAP, RECENT_CAP
from features.ids import stable_hash
from features.online import keys
from features.online.embedded import EmbeddedValkey
from features.online.store import (
    STRANGER,
    Appended,
    KeptAnswer,
    ShopperQuery,
    ShopperRead,
    ShopperState,
)
from features.online.valkey_store import RING_TTL_S, ValkeyStore
from features.online.values import HEADER, VERSION
from features.turns import with_turns
from loadtests.faults.proxy import ChaosProxy

ODD_IDS = ["a", "{", "}", "{u:a}:r", "x}:a:b", "é 漢字 🍷", "a\0b\r\n", "q" * 128]


def event(event_id: str, user_id: str = "u1", **fields: Any) -> Event:
    """Return a click on item i1 unless told otherwise."""
    plain: dict[str, Any] = {"type": EventType.CLICK, "timestamp": 1e9, "item_id": "i1"}
    return Event(event_id=event_id, user_id=user_id, **(plain | fields))


def records(*rows: tuple[int, int], kind: EventType = EventType.CLICK) -> Records:
    """Return records of (ts, number); the number makes both item and event id."""
    return np.array([(ts, n + 1, 0, event_tag(str(n), kind)) for ts, n in rows], RECORD)


async def read_one(store: ValkeyStore, user_id: str, bucket: str = "b") -> ShopperRead:
    """Read one shopper."""
    return (await store.read([ShopperQuery(user_id, bucket)]))[0]


async def state_of(store: ValkeyStore, user_id: str = "u1") -> ShopperState:
    """Return one shopper's state."""
    return (await read_one(store, user_id)).state


@pytest.fixture
def raw(redis_url: str) -> Iterable[Any]:
    """Return a plain client to look behind the store."""
    with Redis.from_url(redis_url) as client:
        yield client


async def test_nobody_is_known_at_first(online_store: ValkeyStore) -> None:
    """Shoppers without a key are strangers, and reading none of them is allowed."""
    assert await online_store.read([]) == []
    assert await read_one(online_store, "u1") == ShopperRead(STRANGER, None)


async def test_the_next_read_sees_what_was_appended(online_store: ValkeyStore) -> None:
    """A purchase is in both rings at once, a click in one, an impression in none."""
    told = await online_store.append(
        [
            event("e1"),
            event("e2", type=EventType.PURCHASE, value=12.5, item_id="i2"),
            event("e3", type=EventType.IMPRESSION),
        ]
    )

    state = await state_of(online_store)
    assert told == Appended(3, 0)
    assert set(state.recent["item"]) == {stable_hash("i1"), stable_hash("i2")}
    assert state.history["item"].tolist() == [stable_hash("i2")]
    assert state.history["value"].tolist() == [1250]
    assert not state.recent.flags.writeable


async def test_an_event_id_counts_once(online_store: ValkeyStore, raw: Any) -> None:
    """The same id in one batch or again later is a duplicate; the first one counts."""
    assert await online_store.append([event("e1"), event("e1", item_id="i9")]) == Appended(1, 1)
    before = await state_of(online_store)

    assert await online_store.append([event("e1"), event("e2")]) == Appended(1, 1)

    after = await state_of(online_store)
    assert raw.xlen(keys.STREAM) == 2
    assert len(before.recent) == 1
    assert len(after.recent) == 2
    assert before.revision != after.revision


async def test_ids_are_remembered_across_a_window(redis_url: str, raw: Any) -> None:
    """An id of the window before is still known, one of two windows ago is not."""
    now = 1e9
    store = ValkeyStore(redis_url, clock=lambda: now)
    await store.append([event("e1")])
    now += keys.SEEN_WINDOW_S
    assert await store.append([event("e1")]) == Appended(0, 1)
    now += keys.SEEN_WINDOW_S
    assert await store.append([event("e1")]) == Appended(1, 0)
    for key in raw.scan_iter("{events}:seen:*"):
        assert 0 < raw.ttl(key) <= 2 * keys.SEEN_WINDOW_S
    await store.close()


async def test_the_ring_has_the_stamp_of_the_stream(online_store: ValkeyStore, raw: Any) -> None:
    """What counts as an event's time is the stream's stamp, everywhere."""
    await online_store.append([event(f"e{n}") for n in range(600)])

    stamps = sorted(int(entry_id.split(b"-")[0]) for entry_id, _ in raw.xrange(keys.STREAM))

    assert len(stamps) == 600
    assert (await state_of(online_store)).recent["ts"].tolist() == stamps[-RECENT_CAP:]


async def test_rings_equal_what_offline_leaves(online_store: ValkeyStore) -> None:
    """Whatever order and repetition records come in, the rings are those of the sorted log."""
    rng = random.Random(7)
    kinds = list(EventType)
    plain = np.array(
        [
            (rng.randrange(200), rng.randrange(1, 60), n, event_tag(str(n), rng.choice(kinds)))
            for n in range(900)
        ],
        RECORD,
    )
    turns = np.array(rng.choices([0, 0, 1, 2, 300, 999], k=900), np.uint16)
    log = with_turns(plain, turns)
    order = rng.sample(range(900), 900)
    at = 0
    while at < len(order):
        size = rng.choice([1, 1, 1, 2, 7, 40, 300])
        again = rng.choices(order[: at + 1], k=rng.choice([0, 0, 3]))
        await online_store.rings.apply([("u1", log[order[at : at + size] + again])])
        at += size

    state = await state_of(online_store)
    recent, history = rings(plain[np.lexsort((plain["tag"], turns, plain["ts"]))])
    assert state.recent.tolist() == recent.tolist()
    assert state.history.tolist() == history.tolist()
    revision = state.revision
    assert await online_store.rings.apply([("u1", log)]) == 0
    assert (await state_of(online_store)).revision == revision


async def test_events_of_one_request_are_in_its_order(online_store: ValkeyStore, raw: Any) -> None:
    """Whatever their ids; sent again they are duplicates, and change nothing."""
    told = [event(f"{n * 37 % 150}", item_id=f"i{n}") for n in range(150)]
    assert await online_store.append(told) == Appended(150, 0)
    state = await state_of(online_store)
    assert state.recent["item"].tolist() == [stable_hash(f"i{n}") for n in range(150)]
    assert await online_store.append(told[::-1]) == Appended(0, 150)
    assert (await state_of(online_store)).revision == state.revision
    assert raw.xlen(keys.STREAM) == 150


async def test_a_millisecond_without_turns_left_is_followed_by_the_next(
    online_store: ValkeyStore, raw: Any
) -> None:
    """Where the clock stands, or was set back, a request is in its order all the same."""
    ahead_ms = round(time.time() * 1_000) + 60_000
    raw.xadd(keys.STREAM, {b"forget": b"nobody"}, id=f"{ahead_ms}-996")
    await online_store.append([event(f"e{n}", item_id=f"i{n}") for n in range(6)])
    state = await state_of(online_store)
    assert state.recent["item"].tolist() == [stable_hash(f"i{n}") for n in range(6)]
    assert (state.recent["ts"] - ahead_ms).tolist() == [0, 0, 1, 1, 1, 1]


async def test_who_is_forgotten_is_so_with_all_turns(online_store: ValkeyStore) -> None:
    """Of the millisecond of the tombstone all goes and nothing comes, of the next one all stays."""
    some = with_turns(
        records((10, 0), (10, 1), (11, 2), (11, 3)), np.array([0, 7, 0, 7], np.uint16)
    )
    await online_store.rings.apply([("u1", some)])
    await online_store.rings.forget_until("u1", 10)
    assert await online_store.rings.apply([("u1", some)]) == 0
    assert (await state_of(online_store)).recent["ts"].tolist() == [11, 11]


async def test_what_is_merged_keeps_its_turns(online_store: ValkeyStore) -> None:
    """Events of a session are in their order among the shopper's."""
    told = [event(f"{n * 7 % 20}", f"u{n % 2}", item_id=f"i{n}") for n in range(20)]
    await online_store.append(told)
    await online_store.merge("u0", "u1")
    state = await state_of(online_store)
    assert state.recent["item"].tolist() == [stable_hash(f"i{n}") for n in range(20)]


async def test_late_records_enter_in_place(online_store: ValkeyStore) -> None:
    """A record older than the newest is put where it belongs, and counts as a change."""
    await online_store.rings.apply([("u1", records((10, 0), (30, 1)))])
    before = (await state_of(online_store)).revision

    assert await online_store.rings.apply([("u1", records((20, 2)))]) == 1

    state = await state_of(online_store)
    assert state.recent["ts"].tolist() == [10, 20, 30]
    assert state.revision != before


async def test_a_record_below_a_full_ring_changes_nothing(online_store: ValkeyStore) -> None:
    """What is older than the oldest kept is gone for good, and the revision stays."""
    full = records(*((100 + n, n) for n in range(RECENT_CAP)))
    await online_store.rings.apply([("u1", full)])
    before = await state_of(online_store)

    assert await online_store.rings.apply([("u1", records((5, 999)))]) == 0

    after = await state_of(online_store)
    assert after.revision == before.revision
    assert len(after.recent) == RECENT_CAP


async def test_rings_end_and_are_kept_alive(online_store: ValkeyStore, raw: Any) -> None:
    """A ring lives its time from the last event on."""
    await online_store.rings.apply([("u1", records((1, 0)))])
    raw.expire(keys.recent_key("u1"), 1000)
    await online_store.rings.apply([("u1", records((2, 1)))])

    assert RING_TTL_S - 60 <= raw.ttl(keys.recent_key("u1")) <= RING_TTL_S


async def test_any_id_reads_back_its_own(online_store: ValkeyStore) -> None:
    """Ids of any Unicode, braces included, keep apart, all in one read."""
    await online_store.append([event(f"e{n}", each) for n, each in enumerate(ODD_IDS)])
    await online_store.put_answers(
        [KeptAnswer(ShopperQuery(each, "b"), each.encode(), 60) for each in ODD_IDS]
    )

    reads = await online_store.read([ShopperQuery(each, "b") for each in ODD_IDS])

    assert [read.answer for read in reads] == [each.encode() for each in ODD_IDS]
    assert all(len(read.state.recent) == 1 and not read.disbelieved for read in reads)


async def test_answers_lie_under_their_bucket_for_a_while(
    online_store: ValkeyStore, raw: Any
) -> None:
    """An answer is read under its own bucket only, and expires."""
    await online_store.put_answers([KeptAnswer(ShopperQuery("u1", "b"), b"\x00answer", 60)])

    assert (await read_one(online_store, "u1", "b")).answer == b"\x00answer"
    assert (await read_one(online_store, "u1", "c")).answer is None
    assert 0 < raw.pttl(keys.answer_key("u1", "b")) <= 60_000
    assert 0 < raw.pttl(keys.buckets_key("u1")) <= 60_000


async def test_an_answer_that_cannot_be_kept_spoils_no_other(
    online_store: ValkeyStore, raw: Any
) -> None:
    """Of a call the first error is told, and all else is kept."""
    raw.set(keys.buckets_key("u2"), b"no set")
    answers = [
        KeptAnswer(ShopperQuery(user, "b"), user.encode(), 60) for user in ("u1", "u2", "u3")
    ]

    with pytest.raises(StoreError, match="WRONGTYPE"):
        await online_store.put_answers(answers)

    reads = await online_store.read([each.query for each in answers])
    assert [read.answer for read in reads] == [b"u1", b"u2", b"u3"]
    assert raw.zrange(keys.buckets_key("u3"), 0, -1) == [b"b"]


async def test_buckets_of_expired_answers_are_dropped(online_store: ValkeyStore, raw: Any) -> None:
    """What remembers a shopper's buckets does not grow with expired answers."""
    raw.zadd(keys.buckets_key("u1"), {f"old{n}": n for n in range(50)})

    await online_store.put_answers([KeptAnswer(ShopperQuery("u1", "b"), b"x", 60)])

    assert raw.zrange(keys.buckets_key("u1"), 0, -1) == [b"b"]


async def test_profiles_change_the_revision_once(online_store: ValkeyStore) -> None:
    """A new profile makes a new state; the same one again does not."""
    assert await online_store.put_profiles({"u1": {"country": "FR", "age": 40}}) == 1
    first = await state_of(online_store)
    assert await online_store.put_profiles({"u1": {"age": 40, "country": "FR"}}) == 0
    same = await state_of(online_store)
    assert await online_store.put_profiles({"u1": {"country": "IT"}}) == 1
    third = await state_of(online_store)

    assert first.profile == {"country": "FR", "age": 40}
    assert first.revision == same.revision != third.revision
    assert first.known


@pytest.mark.parametrize(
    "value",
    [
        HEADER.pack(VERSION + 1, 1, stable_hash("u1")) + bytes(24),
        HEADER.pack(VERSION, 1, stable_hash("u2")) + bytes(24),
        HEADER.pack(VERSION, 1, stable_hash("u1")) + bytes(23),
        b"short",
    ],
    ids=["version", "owner", "length", "short"],
)
async def test_a_value_of_another_is_not_believed(
    online_store: ValkeyStore, raw: Any, value: bytes
) -> None:
    """Another layout, shopper or length counts as absent, is told, and is written over."""
    for key in keys.read_keys("u1", "b"):
        raw.set(key, value)

    read = await read_one(online_store, "u1")
    assert read == ShopperRead(STRANGER, None, 4)

    await online_store.append([event("e1", type=EventType.PURCHASE)])
    await online_store.put_profiles({"u1": {"country": "FR"}})
    read = await read_one(online_store, "u1")
    assert (len(read.state.recent), len(read.state.history)) == (1, 1)
    assert read.state.profile == {"country": "FR"}
    assert read.disbelieved == 1


async def test_a_key_of_another_type_hurts_one_shopper_only(
    online_store: ValkeyStore, raw: Any
) -> None:
    """Where a list stands in place of a ring, that shopper has none; the others have theirs."""
    await online_store.append([event("e1", "u2")])
    raw.lpush(keys.recent_key("u1"), "x")

    reads = await online_store.read([ShopperQuery("u1", "b"), ShopperQuery("u2", "b")])

    assert [read.state.known for read in reads] == [False, True]
    with pytest.raises(StoreError, match="WRONGTYPE"):
        await online_store.append([event("e2", "u1")])


async def test_forgetting_leaves_nothing_but_a_mark(online_store: ValkeyStore, raw: Any) -> None:
    """Rings, profile and all answers go; a tombstone tells the others; the past stays away."""
    await online_store.append([event("e1", type=EventType.PURCHASE), event("e2", "u2")])
    await online_store.put_profiles({"u1": {"country": "FR"}})
    for bucket in ("b", "c", "d}"):
        await online_store.put_answers([KeptAnswer(ShopperQuery("u1", bucket), b"x", 60)])
    past = (await state_of(online_store)).recent

    await online_store.forget("u1")

    assert [key for key in raw.scan_iter("*") if key.startswith(keys.shopper_prefix("u1"))] == [
        keys.forgotten_key("u1")
    ]
    assert raw.xrange(keys.STREAM)[-1][1] == {b"forget": b"u1"}
    assert await online_store.rings.apply([("u1", past)]) == 0
    assert await online_store.put_profiles({"u1": {"country": "FR"}}) == 0
    assert (await state_of(online_store, "u2")).known
    stamp = int(raw.xrange(keys.STREAM)[-1][0].split(b"-")[0])
    assert await online_store.rings.forgotten(["u1", "u2"]) == {"u1": stamp}


async def test_a_forgotten_shopper_may_come_back(online_store: ValkeyStore) -> None:
    """What arrives after the stamp is kept, even where the tombstone is met again later."""
    await online_store.rings.apply([("u1", records((10, 0), (20, 1), kind=EventType.PURCHASE))])
    await online_store.rings.forget_until("u1", 15)
    once = await state_of(online_store)
    await online_store.rings.forget_until("u1", 15)
    await online_store.rings.apply([("u1", records((30, 2), (12, 3)))])

    assert once.recent["ts"].tolist() == once.history["ts"].tolist() == [20]
    assert (await state_of(online_store)).recent["ts"].tolist() == [20, 30]


async def test_a_state_forgotten_never_has_an_old_revision(online_store: ValkeyStore) -> None:
    """Answers cached for a state before forgetting cannot be taken for one after it."""
    revisions = set()
    for n in range(20):
        await online_store.append([event(f"e{n}")])
        revisions.add((await state_of(online_store)).revision)
        stamp = (await state_of(online_store)).recent["ts"][-1].item()
        await online_store.rings.forget_until("u1", stamp)
        await asyncio.sleep(0.002)  # revisions begin at the server's millisecond

    assert len(revisions) == 20


async def test_a_full_stream_refuses_all_of_a_batch(redis_url: str, raw: Any) -> None:
    """Past the limit nothing is lost and nothing half taken: the caller is told to wait."""
    store = ValkeyStore(redis_url, stream_limit=3)
    await store.append([event("e1"), event("e2")])

    with pytest.raises(StoreFullError):
        await store.append([event("e3"), event("e4")])

    assert raw.xlen(keys.STREAM) == 2
    assert await store.append([event("e3"), event("e2")]) == Appended(1, 1)
    await store.close()


async def test_scripts_come_back_after_a_flush(online_store: ValkeyStore, raw: Any) -> None:
    """A server that lost its scripts gets them again, unnoticed."""
    await online_store.append([event("e1")])
    raw.script_flush()

    assert await online_store.append([event("e2"), event("e3", "u2")]) == Appended(2, 0)


async def test_what_json_cannot_say_is_the_callers_mistake(online_store: ValkeyStore) -> None:
    """A context or profile that is no JSON names its field and leaves nothing behind."""
    with pytest.raises(FieldError, match="context"):
        await online_store.append([event("e0"), event("e1", context={"a": object()})])
    with pytest.raises(InputError, match="u1"):
        await online_store.put_profiles({"u1": {"a": 2**70}})
    assert not (await state_of(online_store)).known


@pytest.mark.parametrize("url", ["http://x", "nonsense", "redis://h:port"])
def test_a_bad_url_names_the_setting(url: str) -> None:
    """A url that is none is the user's mistake, told by the setting's name."""
    with pytest.raises(InputError, match="CUVEE_REDIS_URL"):
        ValkeyStore(url)


async def test_one_read_is_one_command(valkey: EmbeddedValkey) -> None:
    """However many shoppers are asked for, the server sees a single command."""
    store = ValkeyStore(valkey.url)
    await store.ping()
    with Redis.from_url(valkey.url) as client:
        client.config_resetstat()
        await store.read([ShopperQuery(f"u{n}", "b") for n in range(50)])
        counts = client.info("commandstats")
    await store.close()

    assert counts["cmdstat_mget"]["calls"] == 1
    assert {name for name in counts if name != "cmdstat_config|resetstat"} == {"cmdstat_mget"}


async def test_who_is_a_stranger_is_read_as_another(online_store: ValkeyStore) -> None:
    """What is known of a session stands in for nothing, and is read with it."""
    await online_store.append([event("e1", "session:s"), event("e2", "known")])
    asked = ShopperQuery("session:s", "b")
    await online_store.put_answers([KeptAnswer(asked, b"told", 10)])
    names = ("nobody", "known", "nobody")
    queries = [ShopperQuery(name, "b", "session:s") for name in names]
    session, known, _, stranger, alone = await online_store.read(
        [*queries, ShopperQuery("nobody", "b", "session:t"), ShopperQuery("nobody", "b")]
    )
    assert (session.instead, session.answer) == (asked, b"told")
    assert session.state.recent["item"].tolist() == [stable_hash("i1")]
    assert (known.instead, known.answer, known.state.known) == (None, None, True)
    assert stranger == alone == ShopperRead(STRANGER, None)


async def test_sessions_are_remembered_for_less_long(online_store: ValkeyStore, raw: Any) -> None:
    """A session that does nothing ends sooner than a shopper."""
    await online_store.append([event("e1", "session:s"), event("e2", "ann")])
    session, ann = (raw.ttl(keys.recent_key(each)) for each in ("session:s", "ann"))
    assert anonymous.TTL_S - 10 < session <= anonymous.TTL_S < ann


async def test_cancelled_reads_never_mix_up_shoppers(
    valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    """After thousands of reads cancelled at any moment, every answer is the asker's own."""
    rng = random.Random(1)
    async with ChaosProxy(valkey.socket_path, tmp_path / "p") as proxy:
        store = ValkeyStore(proxy.url)
        users = [f"u{n}" for n in range(20)]
        await store.append([event(f"e{n}", u, item_id=u) for n, u in enumerate(users)])
        for user in users:
            await store.put_answers([KeptAnswer(ShopperQuery(user, "b"), user.encode(), 600)])
        right = 0
        for turn in range(400):
            asked = [rng.choice(users) for _ in range(10)]
            tasks = [asyncio.create_task(read_one(store, user)) for user in asked]
            for _ in range(turn % 40):
                await asyncio.sleep(0)
            for task in tasks[turn % 2 :]:
                task.cancel()
            for user, told in zip(
                asked, await asyncio.gather(*tasks, return_exceptions=True), strict=True
            ):
                if isinstance(told, ShopperRead):
                    right += 1
                    assert told.answer == user.encode()
                    assert told.state.recent["item"].tolist() == [stable_hash(user)]
                    assert told.disbelieved == 0
        assert right >= 200
        await store.close()


SLOTS = ((0, 5_460), (5_461, 10_922), (10_923, 16_383))


@pytest.fixture
def nodes(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> Iterator[list[EmbeddedValkey]]:
    """Return three real servers that form a cluster, each with a third of the slots."""
    with ExitStack() as stack:
        servers, clients, ports = [], [], []
        for number in range(len(SLOTS)):
            port, bus = unused_tcp_port_factory(), unused_tcp_port_factory()
            options = {"port": f"{port}", "bind": "127.0.0.1", "cluster-enabled": "yes"}
            options |= {"cluster-port": f"{bus}", "cluster-node-timeout": "2000"}
            server = EmbeddedValkey(tmp_path / f"node{number}", options)
            servers.append(stack.enter_context(server))
            clients.append(stack.enter_context(Redis.from_url(server.url)))
            ports.append((port, bus))
        for client, (first, last) in zip(clients, SLOTS, strict=True):
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", *ports[0])
        while not all(_agrees(client) for client in clients):
            time.sleep(0.05)
        yield servers


def _agrees(client: Any) -> bool:
    """Tell whether a node knows all others, and who has which slots."""
    told = client.execute_command("CLUSTER", "INFO")
    return b"cluster_state:ok" in told and b"cluster_known_nodes:3" in told


@pytest.fixture
async def cluster_store(nodes: list[EmbeddedValkey]) -> AsyncIterator[ValkeyStore]:
    """Return a store over the cluster; it is told of one node."""
    with Redis.from_url(nodes[0].url) as client:
        port = client.config_get("port")["port"]
    store = ValkeyStore(f"redis+cluster://127.0.0.1:{port}")
    yield store
    await store.close()


async def test_a_cluster_takes_every_call(cluster_store: ValkeyStore) -> None:
    """Reads, events, profiles, answers and forgetting keep to one slot each."""
    users = [f"{{{n}}}" for n in range(20)]
    events = [event(f"e{n}", user) for n, user in enumerate(users)]

    assert await cluster_store.append(events) == Appended(20, 0)
    assert await cluster_store.append(events) == Appended(0, 20)
    await cluster_store.put_profiles({user: {"n": user} for user in users})
    await cluster_store.put_answers(
        [KeptAnswer(ShopperQuery(user, "b"), b"x", 60) for user in users[:3]]
    )
    await cluster_store.forget(users[1])

    reads = await cluster_store.read([ShopperQuery(user, "b") for user in users])
    assert [read.answer for read in reads[:4]] == [b"x", None, b"x", None]
    assert [read.state.known for read in reads] == [True, False] + [True] * 18
    assert await cluster_store.rings.forgotten(users[:3]) == {
        users[1]: pytest.approx(1.7e12, rel=1)
    }
    await cluster_store.ping()


async def test_shoppers_of_a_cluster_are_merged_across_nodes(cluster_store: ValkeyStore) -> None:
    """Whatever nodes they lie on, all that was of the one is the other's, and once."""
    pairs = [(f"session:{n}", f"u{n}") for n in range(20)]
    events = [event(f"{name}", name) for pair in pairs for name in pair]
    await cluster_store.append(events)
    assert [await cluster_store.merge(*pair) for pair in pairs] == [1] * 20
    assert [await cluster_store.merge(*pair) for pair in pairs] == [0] * 20
    for session, user in pairs:
        assert len((await state_of(cluster_store, user)).recent) == 2
        read = (await cluster_store.read([ShopperQuery(session, "b", user)]))[0]
        assert read.instead == ShopperQuery(user, "b")


async def test_shoppers_of_a_cluster_lie_on_all_nodes(
    cluster_store: ValkeyStore, nodes: list[EmbeddedValkey]
) -> None:
    """A third each, about, and all keys of one shopper on one node."""
    users = [f"u{n}" for n in range(90)]
    await cluster_store.append([event(f"e{n}", user) for n, user in enumerate(users)])
    counts = []
    for node in nodes:
        with Redis.from_url(node.url) as client:
            counts.append(len(client.keys("{u:*}:r")))
    assert sum(counts) == 90
    assert min(counts) > 15
    reads = await cluster_store.read([ShopperQuery(user, "b") for user in users])
    assert all(read.state.known for read in reads)


async def test_a_node_that_is_gone_is_the_stores_error(
    cluster_store: ValkeyStore, nodes: list[EmbeddedValkey]
) -> None:
    """Nobody's read hangs, and no other error leaves the store."""
    users = [f"u{n}" for n in range(30)]
    await cluster_store.append([event(f"e{n}", user) for n, user in enumerate(users)])
    nodes[2].stop()
    with pytest.raises(StoreError):
        await cluster_store.read([ShopperQuery(user, "b") for user in users])


def test_rings_are_wider_than_the_caps_of_the_script() -> None:
    """The script knows the record's and the header's size by number: they must agree."""
    script = Path("features/online/apply.lua").read_text()
    sizes = re.search(r"HEAD, SIZE, DAY = (\d+), (\d+)", script)

    assert sizes is not None
    assert [int(size) for size in sizes.groups()] == [HEADER.size, RECORD.itemsize]
    assert max(RECENT_CAP, HISTORY_CAP) * 2 < 8_000
