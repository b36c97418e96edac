"""The seam before the online store, and the store that knows nobody."""

from features.events import Event, EventType
from features.online.store import (
    STRANGER,
    Appended,
    KeptAnswer,
    NullStore,
    OnlineStore,
    ShopperQuery,
    ShopperState,
)
from features.online.valkey_store import ValkeyStore


async def test_the_null_store_knows_nobody() -> None:
    """It takes everything, keeps nothing, and answers each query with a stranger."""
    store: OnlineStore = NullStore()
    queries = [ShopperQuery("u1", "b"), ShopperQuery("u2", "b")]

    told = await store.append([Event("e", EventType.SESSION, "u1", 1.0)])
    await store.put_answers([KeptAnswer(queries[0], b"x", 60)])
    await store.forget("u1")
    await store.ping()
    reads = await store.read(queries)
    await store.close()

    assert told == Appended(1, 0)
    assert [(read.state, read.answer, read.disbelieved) for read in reads] == [
        (STRANGER, None, 0)
    ] * 2
    assert await store.read([]) == []


async def test_the_real_store_fits_the_seam(redis_url: str) -> None:
    """What the type checker holds true: a `ValkeyStore` stands wherever a store is asked for."""
    store: OnlineStore = ValkeyStore(redis_url)

    assert (await store.read([ShopperQuery("u1", "b")]))[0].state == STRANGER
    await store.close()


def test_a_revision_makes_a_shopper_known() -> None:
    """A stranger has none."""
    assert not STRANGER.known
    assert ShopperState(revision=bytes(12)).known
