"""Who is forgotten is so with all that was merged into them, in every place, and nobody else is."""

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pytest
from redis import Redis

from features.datasets.dataset import DATASETS, Declaration
from features.datasets.datasets import Datasets
from features.declared import FEATURE_SET
from features.erasure import Erasure
from features.errors import StoreError
from features.events import RECORD, Event, EventType, pack_event
from features.identity.forgotten import ForgottenList
from features.materialize import materialize
from features.offline.store import OfflineStore
from features.offline.tables import USERS
from features.online import keys
from features.online.store import ShopperQuery
from features.online.stream_entries import Entry, Merge
from features.online.valkey_store import ValkeyStore
from features.skew import served
from features.skew.served import Served
from features.stream.archive import Archive, events_table
from features.stream.repair import Repair

START_MS = 1_760_000_000_000
SHOPPERS = ("ann", "ben", "it's", "session:1", "session:2")
QUERY = "select user_id, arrived_at as at, value as paid from events"


@pytest.fixture
def raw(redis_url: str) -> Iterator[Any]:
    """Return a plain client to look behind the store."""
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def offline(tmp_path: Path) -> OfflineStore:
    """Return an empty offline store."""
    return OfflineStore(tmp_path)


def at_ms(minute: int) -> int:
    """Return the stamp of a minute."""
    return START_MS + 60_000 * minute


def done(minute: int, user_id: str) -> Entry:
    """Return a purchase."""
    event = Event(f"e{minute}", EventType.PURCHASE, user_id, 1.0, f"i{minute}", 2.5)
    return Entry(b"1-1", at_ms(minute), event)


def merged(minute: int, source: str, into: str) -> Entry:
    """Return a merge."""
    return Entry(b"1-1", at_ms(minute), merge=Merge(source, into))


def forgotten(minute: int, user_id: str) -> Entry:
    """Return a tombstone."""
    return Entry(b"1-1", at_ms(minute), forget=user_id)


def keep(store: OfflineStore, *entries: Entry) -> None:
    """Put events and merges into the tables."""
    store.append_events(events_table([each for each in entries if each.event is not None]))
    store.merge([(e.merge.source, e.merge.into, e.arrived_ms) for e in entries if e.merge])


def ids_of(store: OfflineStore) -> list[str]:
    """Return the ids of all events in the tables."""
    return sorted(store.scan("events").collect()["event_id"])


def log_of(store: OfflineStore) -> dict[str, list[Any]]:
    """Return the records of each shopper, as the tables have them."""
    log = store.event_log()
    return {user_id: log.of(number).tolist() for number, user_id in enumerate(log.user_ids)}


async def stamps_of(store: ValkeyStore, user_id: str) -> list[int]:
    """Return when what is known of a shopper online arrived."""
    (read,) = await store.read([ShopperQuery(user_id, "b")])
    told: list[int] = read.state.recent["ts"].tolist()
    return told


def records(*entries: Entry) -> Any:
    """Return the records of events."""
    packed = [pack_event(each.event, each.arrived_ms) for each in entries if each.event]
    return np.frombuffer(b"".join(packed), RECORD)


@dataclass(frozen=True)
class World:
    """Entries in the order in which they happened, and what is left of them, by shopper."""

    entries: list[Entry]
    left: dict[str, list[Entry]]


def world(some: random.Random, count: int) -> World:
    """Return one in which shoppers act, are merged into one another, and forgotten."""
    held: dict[str, list[Entry]] = defaultdict(list)
    entries = []
    for minute in range(count):
        user_id, into = some.sample(SHOPPERS, 2)
        entry = some.choices(
            (done(minute, user_id), merged(minute, user_id, into), forgotten(minute, user_id)),
            (6, 3, 1),
        )[0]
        entries.append(entry)
        if entry.event is not None:
            held[user_id].append(entry)
        elif entry.merge is not None:
            held[into] += held.pop(user_id, [])
        else:
            held.pop(user_id, None)
    return World(entries, {name: some for name, some in held.items() if some})


@pytest.mark.parametrize("seed", [*range(8), 128, 147])
async def test_the_tables_end_as_it_happened(
    online_store: ValkeyStore, offline: OfflineStore, seed: int
) -> None:
    """However late events come, and if everything is taken again, an old export included."""
    some = random.Random(seed)
    told = world(some, 40)
    expected = {
        name: records(*sorted(entries, key=lambda each: each.arrived_ms)).tolist()
        for name, entries in told.left.items()
    }
    late = {number: some.randrange(30) for number, each in enumerate(told.entries) if each.event}
    order = sorted(range(len(told.entries)), key=lambda number: number + late.get(number, 0))
    entries = [told.entries[number] for number in order]
    archive = Archive(online_store, offline)
    for begin in range(0, len(entries), 8):
        await archive.take(entries[begin : begin + 8])
    for _ in range(2):
        assert log_of(offline) == expected
        left = [each.event.event_id for kept in told.left.values() for each in kept if each.event]
        assert ids_of(offline) == sorted(left)
        await archive.take(some.sample(entries, 20))
        offline.append_events(events_table([each for each in entries if each.event]))


async def test_every_place_forgets_who_was_merged(
    online_store: ValkeyStore, offline: OfflineStore, raw: Any, tmp_path: Path
) -> None:
    """Datasets, served features, dead letters, records, and the rows that say who became whom."""
    keep(
        offline,
        done(1, "session:1"),
        done(2, "guest"),
        merged(3, "session:1", "guest"),
        merged(4, "guest", "ann"),
        done(5, "ann"),
        done(6, "ben"),
        done(7, "session:1"),
    )
    rows = [{"user_id": name, "country": "FR"} for name in ("ann", "ben", "guest", "session:1")]
    offline.put_users(pa.Table.from_pylist(rows, USERS))
    made = Datasets(tmp_path).create("paid", Declaration(QUERY, "at"))
    lines = [
        Served(name, at_ms(minute), at_ms(minute), None, None, FEATURE_SET.schema_hash, [])
        for name, minute in (("session:1", 2), ("guest", 3), ("ben", 6), ("session:1", 7))
    ]
    served.append(tmp_path, "1", lines)
    for told in ("1", "session:1", "guest", "ben"):
        raw.xadd(keys.DEAD_LETTERS, {"payload": orjson.dumps({"who": told})})

    await Archive(online_store, offline).take([forgotten(9, "ann")])

    assert ids_of(offline) == ["e6", "e7"]
    assert offline.scan("merges").collect().is_empty()
    assert set(offline.scan("users").collect()["user_id"]) == {"ben", "session:1"}  # it went on
    left = Datasets(tmp_path).get(made.reference)
    data = pl.read_parquet(tmp_path / DATASETS / "paid" / "1" / left.data)
    assert set(data["user_id"]) == {"ben"}
    assert Datasets(tmp_path).rebuilt(made.reference) == (left, left.checksum)
    assert list(served.read(tmp_path, 0, at_ms(99))) == lines[2:]
    assert [told[b"payload"] for _, told in raw.xrange(keys.DEAD_LETTERS)] == [b'{"who":"ben"}']
    noted = ForgottenList(tmp_path).read()
    assert noted.until(["ann", "guest", "session:1", "ben"]) == {
        "ann": at_ms(9),
        "guest": at_ms(4),
        "session:1": at_ms(3),
    }


def test_whoever_is_killed_between_finds_who_was_merged(
    offline: OfflineStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their rows of datasets go with the next try."""
    keep(offline, done(1, "session:1"), done(2, "ben"), merged(3, "session:1", "ann"))
    Datasets(tmp_path).create("paid", Declaration(QUERY, "at"))
    with monkeypatch.context() as patch:
        patch.setattr("features.datasets.erasure.drop", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            Erasure(offline).forget({"ann": at_ms(9)})
    assert ids_of(offline) == ["e2"]

    Erasure(offline).forget({"ann": at_ms(9)})

    (path,) = (tmp_path / DATASETS / "paid" / "1").glob("data*.parquet")
    assert pl.read_parquet(path)["user_id"].to_list() == ["ben"]
    assert offline.scan("merges").collect().is_empty()


def _interrupted(*_: object) -> int:
    raise KeyboardInterrupt


def test_a_session_that_two_people_had_keeps_what_is_the_others(offline: OfflineStore) -> None:
    """What it did until one logged in is theirs, whoever else forgets what came after."""
    keep(
        offline,
        done(1, "session:1"),
        merged(2, "session:1", "ben"),
        done(3, "session:1"),
        merged(4, "session:1", "ann"),
        done(5, "session:1"),
    )
    Erasure(offline).forget({"ann": at_ms(9)})
    assert {name: len(some) for name, some in log_of(offline).items()} == {
        "ben": 1,
        "session:1": 1,
    }
    again = [done(1, "session:1"), done(3, "session:1"), done(5, "session:1")]
    assert offline.append_events(events_table(again)) == (0, 2, 1)
    Erasure(offline).forget({"ben": at_ms(10)})
    assert ids_of(offline) == ["e5"]


def test_a_merge_after_forgetting_brings_nothing_back(offline: OfflineStore) -> None:
    """Of the session that was forgotten; what another's did before is theirs after the merge."""
    keep(offline, done(1, "session:1"), done(2, "session:2"), done(3, "ann"))
    Erasure(offline).forget({"session:1": at_ms(4), "ann": at_ms(4)})
    keep(offline, merged(5, "session:1", "ann"), merged(6, "session:2", "ann"))
    assert offline.append_events(events_table([done(1, "session:1")])).forgotten == 1
    assert log_of(offline) == {"ann": records(done(2, "session:2")).tolist()}
    Erasure(offline).forget({"session:2": at_ms(7)})  # theirs no more
    assert ids_of(offline) == ["e2"]


def test_who_is_listed_and_not_deleted_yet_is_in_no_log(offline: OfflineStore) -> None:
    """Nor is who was merged into them."""
    keep(offline, done(1, "session:1"), merged(2, "session:1", "ann"), done(3, "ben"))
    ForgottenList(offline.home).add({"ann": at_ms(4)})
    assert list(log_of(offline)) == ["ben"]


def test_a_later_batch_may_be_of_the_forgotten(offline: OfflineStore) -> None:
    """Whose the events are is asked while the table is written, where no table can be opened."""
    keep(offline, done(1, "session:1"), merged(2, "session:1", "ann"))
    Erasure(offline).forget({"ann": at_ms(9)})
    keep(offline, merged(3, "session:2", "ben"))
    batches = [events_table([each]) for each in (done(4, "ben"), done(5, "ann"), done(6, "ben"))]
    written = offline.append_events(batch for told in batches for batch in told.to_batches())
    assert (written.accepted, written.forgotten) == (2, 1)
    assert ids_of(offline) == ["e4", "e6"]


def test_many_sessions_are_forgotten(offline: OfflineStore) -> None:
    """However many somebody had."""
    count = 700
    keep(
        offline,
        *(done(n, f"session:{n}") for n in range(count)),
        *(merged(count + n, f"session:{n}", "ann") for n in range(count)),
        done(9_999, "ben"),
    )
    Erasure(offline).forget({"ann": at_ms(3 * count)})
    assert ids_of(offline) == ["e9999"]
    assert offline.scan("merges").collect().is_empty()


def test_a_batch_is_forgotten_at_once(offline: OfflineStore, tmp_path: Path) -> None:
    """Of each what was theirs up to a stamp of their own; no log of a table names them."""
    keep(
        offline,
        done(1, "session:1"),
        merged(2, "session:1", "ben"),
        done(3, "session:1"),
        merged(4, "session:1", "carl"),
        done(5, "session:1"),
        done(6, "carl"),
        done(7, "ben"),
        done(8, "ann"),
        merged(9, "ann", "abe"),
        done(10, "zoe"),
        merged(11, "zoe", "zora"),
        done(12, "cloe"),
        done(13, "cloe"),
    )
    rows = [{"user_id": name} for name in ("abe", "ben", "carl", "cloe", "session:1", "zoe")]
    offline.put_users(pa.Table.from_pylist(rows, USERS))

    Erasure(offline).forget({"ben": at_ms(6), "carl": at_ms(9), "cloe": at_ms(12)})

    assert ids_of(offline) == ["e10", "e13", "e5", "e7", "e8"]
    assert sorted(offline.scan("merges").collect()["source"]) == ["ann", "zoe"]
    assert sorted(offline.scan("users").collect()["user_id"]) == ["abe", "session:1", "zoe"]
    assert offline.version() == "events@1,items@-,users@1,merges@1"
    logs = [path.read_bytes() for path in (tmp_path / "offline").rglob("_delta_log/*")]
    for name in (b"ben", b"carl", b"cloe", b"session:1"):
        assert not any(name in log for log in logs)


def test_a_session_and_who_had_it_are_forgotten_at_once(
    offline: OfflineStore, tmp_path: Path
) -> None:
    """What came of it between its own tombstone and the merge goes, too, in every place."""
    keep(
        offline,
        done(1, "session:1"),
        done(3, "session:1"),
        merged(4, "session:1", "ann"),
        done(5, "session:1"),
        done(6, "ben"),
    )
    served.append(
        tmp_path,
        "1",
        [
            Served("session:1", at_ms(n), at_ms(n), None, None, FEATURE_SET.schema_hash, [])
            for n in (1, 3, 5)
        ],
    )
    noted = ForgottenList(tmp_path)
    noted.add({"session:1": at_ms(2)})
    offline.forget({"session:1": at_ms(2)})  # and then who did was killed
    made = Datasets(tmp_path).create("paid", Declaration(QUERY, "at"))
    assert made.rows == 3

    gone = Erasure(offline).forget({"session:1": at_ms(2), "ann": at_ms(9)})

    assert gone == {"session:1", "ann"}
    assert ids_of(offline) == ["e5", "e6"]
    assert [each.at_ms for each in served.read(tmp_path, 0, at_ms(99))] == [at_ms(5)]
    (path,) = (tmp_path / DATASETS / "paid" / "1").glob("data*.parquet")
    assert pl.read_parquet(path)["user_id"].to_list() == ["ben"]
    assert noted.read().stamps(["session:1"]) == {"session:1": [at_ms(2), at_ms(4)]}


async def test_online_a_tombstone_taken_again_spares_what_was_merged(
    online_store: ValkeyStore, tmp_path: Path
) -> None:
    """What somebody has by a merge after their forgetting stays, though it arrived before it."""
    await online_store.rings.apply([("session:1", records(done(1, "session:1")))])
    await online_store.rings.apply([("ann", records(done(2, "ann")))])
    tombstone, merge = forgotten(3, "ann"), merged(4, "session:1", "ann")
    await online_store.rings.forget_until("ann", at_ms(3))
    await online_store.rings.merge_until(Merge("session:1", "ann"), at_ms(4))
    for _ in range(2):
        await Repair(online_store, ForgottenList(tmp_path)).take([tombstone, merge])
        assert await stamps_of(online_store, "ann") == [at_ms(1)]
    await Repair(online_store, ForgottenList(tmp_path)).take([forgotten(5, "ann")])
    assert await stamps_of(online_store, "ann") == []


@pytest.mark.parametrize("done_before", [0, 1, 2])
async def test_online_there_and_back_may_be_told_again(
    online_store: ValkeyStore, tmp_path: Path, done_before: int
) -> None:
    """By whoever was killed after the events were taken, and before the merges were, or some."""
    await online_store.rings.apply(
        [("ann", records(done(1, "ann"))), ("ben", records(done(2, "ben")))]
    )
    told = [merged(3, "ann", "ben"), merged(4, "ben", "ann")]
    for each in told[2 - done_before :]:
        assert each.merge is not None
        await online_store.rings.merge_until(each.merge, each.arrived_ms)
    for _ in range(2):
        await Repair(online_store, ForgottenList(tmp_path)).take(told)
        assert await stamps_of(online_store, "ann") == [at_ms(1), at_ms(2)]
        assert await stamps_of(online_store, "ben") == []


async def test_online_nothing_comes_back_that_was_forgotten_on_the_way(
    online_store: ValkeyStore, tmp_path: Path
) -> None:
    """With whom it was merged into, before they were merged back."""
    await online_store.rings.apply([("ann", records(done(1, "ann")))])
    told = [merged(2, "ann", "ben"), forgotten(3, "ben"), merged(4, "ben", "ann")]
    await online_store.rings.forget_until("ben", at_ms(3))
    await online_store.rings.merge_until(Merge("ben", "ann"), at_ms(4))  # and the first was killed
    for _ in range(2):
        await Repair(online_store, ForgottenList(tmp_path)).take(told)
        assert await stamps_of(online_store, "ann") == await stamps_of(online_store, "ben") == []


async def test_online_who_was_merged_may_get_another_session(
    online_store: ValkeyStore, tmp_path: Path
) -> None:
    """It stays theirs, though what they had before went to somebody, and that is told again."""
    first, second = done(1, "session:1"), done(2, "ann")
    await online_store.rings.apply([("session:1", records(first)), ("ann", records(second))])
    told = [merged(3, "ann", "ben"), merged(4, "session:1", "ann")]
    for each in told:
        assert each.merge is not None
        await online_store.rings.merge_until(each.merge, each.arrived_ms)
    for _ in range(2):
        await Repair(online_store, ForgottenList(tmp_path)).take(told)
        assert await stamps_of(online_store, "ann") == [at_ms(1)]
        assert await stamps_of(online_store, "ben") == [at_ms(2)]


async def test_online_a_merge_brings_nothing_back(
    online_store: ValkeyStore, tmp_path: Path
) -> None:
    """What arrived before a session was forgotten is led nowhere; what came after it is."""
    entries = [done(1, "session:1"), forgotten(2, "session:1"), done(3, "session:1")]
    entries += [merged(4, "session:1", "session:2"), merged(5, "session:2", "ann")]
    for _ in range(2):
        await Repair(online_store, ForgottenList(tmp_path)).take(entries)
        assert await stamps_of(online_store, "ann") == [at_ms(3)]
    for gone in ("session:1", "session:2"):
        assert await stamps_of(online_store, gone) == []


async def test_a_stopped_materialize_goes_on_after_merges(
    online_store: ValkeyStore, offline: OfflineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whom it had brought and who became somebody's since, or got somebody's, come again."""
    monkeypatch.setattr("features.materialize.AT_ONCE", 5)
    keep(offline, *(done(n, f"u{n:02}") for n in range(1, 30)), done(30, "zoe"), done(31, "zed"))
    calls, carry = iter(range(99)), online_store.rings.carry

    async def some_of(records: Any) -> int:
        if next(calls) == 2:
            raise StoreError("away")
        return await carry(records)

    with monkeypatch.context() as patch:
        patch.setattr(online_store.rings, "carry", some_of)
        with pytest.raises(StoreError, match="away"):
            await materialize(online_store, offline, rate=0)
    assert await stamps_of(online_store, "u10")
    assert not await stamps_of(online_store, "u11")
    await online_store.merge("zoe", "u03")  # who is not online yet, into who is
    keep(offline, merged(40, "zoe", "u03"), merged(41, "zed", "zoe"), merged(42, "zoe", "u02"))

    told = await materialize(online_store, offline, rate=0)

    for user_id, some in log_of(offline).items():
        assert await stamps_of(online_store, user_id) == [each[0] for each in some]
    assert told.shoppers == 19 + 2
    assert (await materialize(online_store, offline)).was_there


async def test_who_is_merged_while_it_runs_is_led_on(
    online_store: ValkeyStore, offline: OfflineStore
) -> None:
    """Their events are on the way under the id of before."""
    keep(offline, done(1, "zoe"), done(2, "ann"))
    store = offline.at(offline.version())
    await online_store.merge("zoe", "ann")
    told = await materialize(online_store, store, rate=0)
    assert told.events == 4
    assert await stamps_of(online_store, "ann") == [at_ms(1), at_ms(2)]
    assert await stamps_of(online_store, "zoe") == []


def test_versions_tell_of_merges(offline: OfflineStore) -> None:
    """What is made again of a version sees those of then."""
    keep(offline, done(1, "s"), done(2, "ann"))
    before = offline.version()
    assert "merges" not in before
    keep(offline, merged(3, "s", "ann"))
    assert offline.version() == f"{before},merges@0"
    assert len(log_of(offline.at(before))) == 2
    assert len(log_of(offline.at(offline.version()))) == 1
    assert [name for name, _, _ in offline.files()] == ["events", "merges"]
    assert set(offline.changed_since(before)["user_id"]) == {"s", "ann"}
