"""Bringing the offline store online: merged, idempotent, and the forgotten stay forgotten."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from features.__main__ import cli
from features.demo_shop.simulate import World, simulate
from features.erasure import Erasure
from features.errors import InputError, StoreError
from features.eventlog import rings
from features.events import RECORD, Event, EventType, pack_event
from features.history import HISTORY_CAP, RECENT_CAP
from features.materialize import materialize
from features.offline.store import OfflineStore
from features.offline.tables import ITEMS, USERS
from features.online import keys
from features.online.embedded import EmbeddedValkey
from features.online.store import ShopperQuery, ShopperState
from features.online.stream_entries import Entry
from features.online.valkey_store import ValkeyStore
from features.stream.archive import events_table


@pytest.fixture
def offline(tmp_path: Path) -> OfflineStore:
    """Return an empty offline store."""
    return OfflineStore(tmp_path)


def click_at(stamp_ms: int, user_id: str = "u1", kind: EventType = EventType.PURCHASE) -> Entry:
    """Return an event that arrived then."""
    event = Event(f"e{stamp_ms}", kind, user_id, 1.0, item_id=f"i{stamp_ms % 40}")
    return Entry(b"0-1", stamp_ms, event=event)


def keep(offline: OfflineStore, entries: Sequence[Entry]) -> None:
    """Put the entries into the offline store."""
    offline.append_events(events_table(entries))


def users(*rows: tuple[str, str | None, str | None]) -> pa.Table:
    """Return rows of the users table."""
    columns = ("user_id", "country", "attributes")
    return pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows], USERS)


async def state_of(store: ValkeyStore, user_id: str = "u1") -> ShopperState:
    """Return one shopper's state."""
    return (await store.read([ShopperQuery(user_id, "b")]))[0].state


async def test_tables_of_another_home_are_not_online_already(
    online_store: ValkeyStore, offline: OfflineStore, tmp_path: Path
) -> None:
    """Though their versions have the same numbers: a home was deleted, and made anew."""
    other = OfflineStore(tmp_path / "other")
    keep(offline, [click_at(1_000)])
    keep(other, [click_at(2_000, "u2")])
    assert offline.version() == other.version()

    await materialize(online_store, offline, rate=0)
    assert not (await materialize(online_store, other, rate=0)).was_there

    assert len((await state_of(online_store, "u2")).recent) == 1
    assert (await materialize(online_store, other, rate=0)).was_there


async def test_tables_that_were_tidied_are_online_already(
    online_store: ValkeyStore, offline: OfflineStore
) -> None:
    """Merged files are no other data, those of before gone or not; an event more is."""
    for stamp_ms in (1_000, 2_000):
        keep(offline, [click_at(stamp_ms)])
    before = (await materialize(online_store, offline)).version

    for retention in (timedelta(days=7), timedelta(0)):
        offline.tidy(retention)
        assert (await materialize(online_store, offline)).was_there
    assert offline.version() != before

    keep(offline, [click_at(3_000)])
    assert not (await materialize(online_store, offline)).was_there


async def test_every_shopper_is_as_the_log_says(
    online_store: ValkeyStore, offline: OfflineStore
) -> None:
    """Rings and profiles of a whole shop are bit for bit what the offline store makes of them."""
    simulate(offline, World(3_000, 1, datetime(2026, 1, 1, tzinfo=UTC)))
    log = offline.event_log()

    told = await materialize(online_store, offline)

    assert told.shoppers == len(log.user_ids)
    assert told.profiles == len(log.profiles) > told.shoppers
    reads = await online_store.read([ShopperQuery(each, "b") for each in log.user_ids])
    for number, read in enumerate(reads):
        recent, history = rings(log.of(number))
        assert read.state.recent.tolist() == recent.tolist()
        assert read.state.history.tolist() == history.tolist()
        assert read.state.profile == log.profiles[log.user_ids[number]]


async def test_shoppers_with_more_than_the_caps_look_the_same(
    online_store: ValkeyStore, offline: OfflineStore
) -> None:
    """A shopper with many more events than a ring holds has the latest, as offline."""
    keep(offline, [click_at(1_000 + n) for n in range(900)])

    await materialize(online_store, offline)

    state = await state_of(online_store)
    assert state.recent["ts"].tolist() == list(range(1_900 - RECENT_CAP, 1_900))
    assert state.history["ts"].tolist() == list(range(1_900 - HISTORY_CAP, 1_900))


async def test_newer_events_online_stay(online_store: ValkeyStore, offline: OfflineStore) -> None:
    """What only the online store has is kept among what the offline store brings."""
    newer = [click_at(50_000 + n) for n in range(30)]
    packed = [pack_event(each.event, each.arrived_ms) for each in newer if each.event]
    await online_store.rings.apply([("u1", np.frombuffer(b"".join(packed), RECORD))])
    keep(offline, [click_at(1_000 + n) for n in range(400)] + newer[:10])

    await materialize(online_store, offline)

    times = (await state_of(online_store)).recent["ts"].tolist()
    assert times == list(range(1_400 - RECENT_CAP + 30, 1_400)) + list(range(50_000, 50_030))


async def test_the_same_version_again_does_nothing(
    online_store: ValkeyStore, offline: OfflineStore
) -> None:
    """The second run stops at the mark; a new commit or `force` makes it run and change little."""
    keep(offline, [click_at(n) for n in range(1, 20)])
    first = await materialize(online_store, offline)
    revision = (await state_of(online_store)).revision

    again = await materialize(online_store, offline)
    forced = await materialize(online_store, offline, force=True)
    keep(offline, [click_at(100)])
    later = await materialize(online_store, offline)

    assert (first.was_there, again.was_there, forced.was_there) == (False, True, False)
    assert (first.events, forced.events, later.events) == (38, 0, 2)
    assert (await state_of(online_store)).revision != revision


async def test_forcing_keeps_cached_answers_true(
    online_store: ValkeyStore, offline: OfflineStore
) -> None:
    """A run that brings nothing new leaves every revision as it was."""
    keep(offline, [click_at(n) for n in range(1, 300)])
    offline.put_users(users(("u1", "FR", '{"age": 40}')))
    await materialize(online_store, offline)
    before = await state_of(online_store)

    await materialize(online_store, offline, force=True)

    assert (await state_of(online_store)).revision == before.revision
    assert before.profile == {"country": "FR", "age": 40}


async def test_the_forgotten_stay_forgotten(
    online_store: ValkeyStore, offline: OfflineStore
) -> None:
    """A shopper whose rows are not deleted yet does not come back; others come."""
    keep(offline, [click_at(10), click_at(20, "u2")])
    offline.put_users(users(("u1", "FR", None), ("u2", "IT", None)))
    await online_store.forget("u1")

    await materialize(online_store, offline)

    assert not (await state_of(online_store, "u1")).known
    assert (await state_of(online_store, "u2")).profile == {"country": "IT"}


async def test_who_came_back_has_the_record_that_came_after(
    online_store: ValkeyStore, offline: OfflineStore
) -> None:
    """Online as in training sets, and not that of before, nor one after another forgetting."""
    keep(offline, [click_at(10), click_at(20, "u2")])
    offline.put_users(users(("u1", "FR", None)))
    stamp = await online_store.forget("u1")
    Erasure(offline).forget({"u1": stamp})
    await materialize(online_store, offline)
    assert not (await state_of(online_store, "u1")).known

    keep(offline, [click_at(stamp + 1)])
    offline.put_users(users(("u1", "IT", None)))
    await materialize(online_store, offline)
    assert (await state_of(online_store, "u1")).profile == {"country": "IT"}
    assert offline.event_log().profiles == {"u1": {"country": "IT"}}

    await online_store.forget("u1")  # which the tables have yet to hear of
    await materialize(online_store, offline, force=True)
    assert not (await state_of(online_store, "u1")).profile


async def test_an_interrupted_run_is_done_again(
    online_store: ValkeyStore, offline: OfflineStore
) -> None:
    """Without the mark everything is looked at again, and only what is missing changes."""
    keep(offline, [click_at(n, f"u{n}") for n in range(1, 50)])
    await materialize(online_store, offline)
    await online_store.client.delete(keys.MATERIALIZED, keys.recent_key("u7"))

    told = await materialize(online_store, offline)

    assert (told.was_there, told.events) == (False, 1)


async def stop_after(
    chunks: int, online: ValkeyStore, offline: OfflineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begin to bring shoppers online, and fail once so many chunks of them are there."""
    real, calls = online.rings.carry, 0

    async def failing(shoppers: Any) -> int:
        nonlocal calls
        calls += 1
        if calls > chunks:
            raise StoreError("away")
        return await real(shoppers)

    with monkeypatch.context() as patch:
        patch.setattr(online.rings, "carry", failing)
        with pytest.raises(StoreError):
            await materialize(online, offline)


@pytest.mark.parametrize("part_events", [7, 10**6])
async def test_a_run_that_was_stopped_is_gone_on_with(
    online_store: ValkeyStore,
    offline: OfflineStore,
    monkeypatch: pytest.MonkeyPatch,
    part_events: int,
) -> None:
    """The next one begins behind the last shoppers that were brought, and brings the others."""
    monkeypatch.setattr("features.offline.parts.PART_EVENTS", part_events)
    monkeypatch.setattr("features.materialize.AT_ONCE", 10)
    keep(offline, [click_at(n, f"u{n:02}") for n in range(1, 50)])
    offline.put_users(users(("u00", "FR", None), ("u30", "IT", None), ("u99", "DE", None)))
    await stop_after(3, online_store, offline, monkeypatch)
    brought = [n for n in range(1, 50) if (await state_of(online_store, f"u{n:02}")).known]
    assert 10 < len(brought) < 40

    told = await materialize(online_store, offline)

    assert told.shoppers == 49 - 3 * min(part_events, 10)
    assert all([(await state_of(online_store, f"u{n:02}")).known for n in range(1, 50)])
    for user_id, country in (("u00", "FR"), ("u30", "IT"), ("u99", "DE")):
        assert (await state_of(online_store, user_id)).profile == {"country": country}
    assert (await materialize(online_store, offline)).was_there


@pytest.mark.parametrize("part_events", [5, 10**6])
async def test_a_stopped_run_is_gone_on_with_after_new_commits(
    online_store: ValkeyStore,
    offline: OfflineStore,
    monkeypatch: pytest.MonkeyPatch,
    part_events: int,
) -> None:
    """Of those that were brought only whoever did something since, or whose record is another."""
    monkeypatch.setattr("features.offline.parts.PART_EVENTS", part_events)
    monkeypatch.setattr("features.materialize.AT_ONCE", 5)
    keep(offline, [click_at(n, f"u{n:02}") for n in range(1, 50)])
    offline.put_users(users(("u02", "FR", None), ("u03", "FR", None), ("u40", "FR", None)))
    await stop_after(4, online_store, offline, monkeypatch)
    brought = 4 * 5
    keep(offline, [click_at(100, "u01"), click_at(101, "u45"), click_at(102, "u99")])
    offline.put_users(users(("u02", "IT", None), ("u001", "DE", None), ("u41", "DE", None)))
    await stop_after(1, online_store, offline, monkeypatch)  # and once more
    brought += 5
    keep(offline, [click_at(103, "u04")])

    told = await materialize(online_store, offline)

    assert told.shoppers == 50 - brought + 3  # u01, u02 and u04 again
    log = offline.event_log()
    assert len(log.user_ids) == 50
    for number, user_id in enumerate(log.user_ids):
        recent, _ = rings(log.of(number))
        assert (await state_of(online_store, user_id)).recent.tolist() == recent.tolist()
    for user_id, profile in log.profiles.items():
        assert (await state_of(online_store, user_id)).profile == profile
    assert (await materialize(online_store, offline)).was_there


async def test_a_stopped_run_is_gone_on_with_in_tidied_tables(
    online_store: ValkeyStore, offline: OfflineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody comes again, though all of it is in other files, and the version of then gone."""
    monkeypatch.setattr("features.materialize.AT_ONCE", 5)
    keep(offline, [click_at(n, f"u{n:02}") for n in range(1, 25)])
    keep(offline, [click_at(n, f"u{n:02}") for n in range(25, 50)])
    await stop_after(4, online_store, offline, monkeypatch)
    offline.tidy(timedelta(0))

    assert (await materialize(online_store, offline, rate=0)).shoppers == 49 - 4 * 5


async def test_a_stopped_run_of_tables_that_are_gone_begins_anew(
    online_store: ValkeyStore, offline: OfflineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody can tell what changed since, all shoppers come again."""
    monkeypatch.setattr("features.materialize.AT_ONCE", 5)
    keep(offline, [click_at(n, f"u{n:02}") for n in range(1, 50)])
    await stop_after(4, online_store, offline, monkeypatch)
    mark: Any = await online_store.client.get(keys.MATERIALIZING)
    for gone in (b"events@7", b"nonsense"):
        await online_store.client.set(keys.MATERIALIZING, mark.replace(b"events@0", gone))
        assert (await materialize(online_store, offline, rate=0)).shoppers == 49
        await online_store.client.delete(keys.MATERIALIZED)


async def test_what_changed_since_is_brought(
    online_store: ValkeyStore, offline: OfflineStore
) -> None:
    """Shoppers of whom an event arrived since, with all of their events; it marks nothing."""
    keep(offline, [click_at(10, "old"), click_at(11, "new"), click_at(500, "new")])

    told = await materialize(online_store, offline, since_ms=500)

    assert (told.shoppers, told.was_there) == (1, False)
    assert (await state_of(online_store, "new")).recent["ts"].tolist() == [11, 500]
    assert not (await state_of(online_store, "old")).known
    assert (await materialize(online_store, offline)).shoppers == 2
    assert (await materialize(online_store, offline, since_ms=501)).shoppers == 0


async def test_no_more_than_so_many_a_second(
    online_store: ValkeyStore, offline: OfflineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits as long as its rate asks, and not at all without one."""
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    keep(offline, [click_at(n, f"u{n}") for n in range(1, 202)])
    monkeypatch.setattr("features.materialize.asyncio.sleep", note)
    monkeypatch.setattr("features.materialize.time.monotonic", lambda: 100.0)
    await materialize(online_store, offline, rate=10.0)
    assert waits == pytest.approx([5.0, 10.0, 15.0, 20.0, 20.1])
    waits.clear()
    await materialize(online_store, offline, rate=0, force=True)
    assert waits == []


async def test_an_empty_store_is_told(online_store: ValkeyStore, offline: OfflineStore) -> None:
    """Where nothing was ever taken in, the user is told what to do first."""
    with pytest.raises(InputError, match="ingest"):
        await materialize(online_store, offline)


async def test_items_alone_are_no_mistake(online_store: ValkeyStore, offline: OfflineStore) -> None:
    """A shop that opens has no shoppers yet."""
    item = {"item_id": "i1", "category": "Red", "price": 1.0, "in_stock": True}
    offline.put_items(pa.Table.from_pylist([item], ITEMS))
    assert (await materialize(online_store, offline)).shoppers == 0


def run(home: Path, *options: str, url: str | None = None) -> Result:
    """Run the command as its users do."""
    environment = {"CUVEE_HOME": str(home), "CUVEE_REDIS_URL": url}
    return CliRunner().invoke(cli, ["materialize", *options], env=environment)


def test_the_command_brings_its_own_server(tmp_path: Path, offline: OfflineStore) -> None:
    """Without a server one runs for as long as needed, and what it was told is kept."""
    keep(offline, [click_at(n) for n in range(1, 20)])

    first, second, third = run(tmp_path), run(tmp_path), run(tmp_path, "--force")

    assert first.output == (
        "shoppers  1 brought online\n"
        "events    38 places newly filled in shoppers' lists (the latest 200 events; "
        "the latest 256 purchases, ratings, refusals)\n"
        "users     0 records new or changed\n"
        "version   events@0,items@-,users@-\n"
    )
    assert second.output.startswith("online already")
    assert "\nevents    0 places newly filled" in third.output
    assert not EmbeddedValkey(tmp_path).is_alive()


def test_the_command_uses_what_runs(
    tmp_path: Path, offline: OfflineStore, valkey: EmbeddedValkey
) -> None:
    """A server that runs is used, by its url or at its socket, and left running."""
    keep(offline, [click_at(n) for n in range(1, 20)])

    assert run(tmp_path, url=valkey.url).exit_code == 0
    assert not (tmp_path / "valkey").exists()
    with EmbeddedValkey(tmp_path) as server:
        assert "events    38 places" in run(tmp_path).output
        assert server.is_alive()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--rate", "nan"), "'--rate': nan is not in the range x>=0."),
        (("--since", "2100-01-01"), "--since: expected a time that has been, got 2100-01-01"),
    ],
)
def test_options_that_make_no_sense_are_told(
    tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    """Rather than bringing everybody online at once, or nobody."""
    done = run(tmp_path, *words)
    assert done.exit_code == 2
    assert told in done.output


def test_the_command_tells_mistakes_in_one_line(tmp_path: Path) -> None:
    """No data and no server are told without a traceback, exit code 2; nothing is left behind."""
    empty = run(tmp_path)
    assert not list(tmp_path.iterdir())
    keep(OfflineStore(tmp_path), [click_at(1)])
    nobody = run(tmp_path, url=f"unix://{tmp_path}/nobody.sock")

    assert (empty.exit_code, nobody.exit_code) == (2, 2)
    assert empty.output.startswith(f"error: there are no data in {tmp_path}: take ")
    assert nobody.output.startswith("error: online store")
