"""Events of one request: online, in the tables, and online again from these, in one order."""

from pathlib import Path

from features.eventlog import rings
from features.events import Event, EventType
from features.materialize import materialize
from features.offline.kept_events import events_of, numbered
from features.offline.store import OfflineStore
from features.online.store import ShopperQuery, ShopperState
from features.online.valkey_store import ValkeyStore
from features.stream.archive import Archive
from features.stream.event_stream import EventStream, Group

SHOPPERS = [f"u{number}" for number in range(5)]
KINDS = [EventType.PURCHASE, EventType.CLICK, EventType.ADD_TO_CART, EventType.NOT_INTERESTED]
COUNT = 200


def told() -> list[Event]:
    """Return what all shoppers did in turn, numbered by their values, under ids of no order."""
    return [
        Event(
            f"{number * 37 % COUNT}",
            KINDS[number % len(KINDS)],
            SHOPPERS[number % len(SHOPPERS)],
            1e9,
            f"i{number % 7}",
            number / 100,
        )
        for number in range(COUNT)
    ]


async def archived(online: ValkeyStore, home: Path) -> OfflineStore:
    """Return tables of all that is in the stream, taken in some batches, the last ones first."""
    stream, offline = EventStream(online.client, Group.OFFLINE, "c"), OfflineStore(home)
    await stream.join()
    archive = Archive(online, offline)
    batches = [(await stream.read(70, 10)).entries for _ in range(3)]
    for entries in reversed(batches):
        await archive.take(entries)
    return offline


async def states(online: ValkeyStore) -> list[ShopperState]:
    """Return what is known of the shoppers online."""
    return [each.state for each in await online.read([ShopperQuery(u, "b") for u in SHOPPERS])]


async def test_one_order_online_and_offline(online_store: ValkeyStore, tmp_path: Path) -> None:
    """Rings are what the log leaves, as it was sent; what the tables bring back is so, too."""
    await online_store.append(told())
    before = await states(online_store)
    offline = await archived(online_store, tmp_path)
    log = offline.event_log()
    assert log.user_ids == tuple(SHOPPERS)
    for number, state in enumerate(before):
        assert state.recent["value"].tolist() == list(range(number, COUNT, len(SHOPPERS)))
        recent, history = rings(log.of(number))
        assert state.recent.tolist() == recent.tolist()
        assert state.history.tolist() == history.tolist()
    await online_store.client.flushdb()
    await materialize(online_store, offline)
    after = await states(online_store)
    assert [each.recent.tolist() for each in after] == [each.recent.tolist() for each in before]


async def test_training_sets_have_that_order(online_store: ValkeyStore, tmp_path: Path) -> None:
    """They read the tables in a way of their own."""
    await online_store.append(told())
    events = (await archived(online_store, tmp_path)).scan("events")
    shoppers, _ = numbered(events.collect()["user_id"])
    records, offsets = events_of(events, shoppers)
    sent = [range(number, COUNT, len(SHOPPERS)) for number in range(len(SHOPPERS))]
    assert records["value"].tolist() == [number for theirs in sent for number in theirs]
    assert offsets.tolist() == list(range(0, COUNT + 1, COUNT // len(SHOPPERS)))
