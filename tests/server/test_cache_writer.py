"""Lists on their way into the cache."""

import asyncio
import math
from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from features.errors import StoreError
from features.online.store import KeptAnswer, NullStore, ShopperQuery
from monitoring.metrics import Metrics
from server.background import Background
from server.cache_writer import CacheWriter


class Listing(NullStore):
    """Lists the calls, and can be broken."""

    def __init__(self) -> None:
        """Take all at first."""
        self.calls: list[Sequence[KeptAnswer]] = []
        self.broken = False

    async def put_answers(self, answers: Sequence[KeptAnswer]) -> None:
        """Keep the call."""
        if self.broken:
            raise StoreError("broken")
        self.calls.append(answers)


async def test_lists_of_one_turn_share_a_call() -> None:
    """What comes in the next turn has one of its own; none lives longer than it may."""
    store = Listing()
    background = Background(Metrics(CollectorRegistry()))
    writer = CacheWriter(store, background, 300.0)
    for turn in (("u1", "u2"), ("u3",)):
        for user in turn:
            writer.keep(ShopperQuery(user, "b"), user.encode(), math.inf)
        await asyncio.sleep(0)
    await background.close()

    users = [[each.query.user_id for each in call] for call in store.calls]
    assert users == [["u1", "u2"], ["u3"]]
    assert all(270 <= each.ttl_s <= 300 for call in store.calls for each in call)


async def test_a_list_lies_no_longer_than_it_is_asked_for() -> None:
    """One that is drawn anew each second would lie there for nobody."""
    store = Listing()
    background = Background(Metrics(CollectorRegistry()))
    writer = CacheWriter(store, background, 300.0)
    writer.keep(ShopperQuery("u1", "b"), b"x", 1.0)
    await asyncio.sleep(0)
    await background.close()

    assert [each.ttl_s <= 1 for call in store.calls for each in call] == [True]


async def test_a_call_that_fails_is_counted_and_the_next_is_made() -> None:
    """Nobody waits for it, so the metrics must tell."""
    registry, store = CollectorRegistry(), Listing()
    background = Background(Metrics(registry))
    writer = CacheWriter(store, background, 300.0)
    for store.broken in (True, False):
        writer.keep(ShopperQuery("u1", "b"), b"x", math.inf)
        await asyncio.sleep(0)
        await background.close()

    assert registry.get_sample_value("cuvee_errors_total", {"kind": "cache_write"}) == 1
    assert len(store.calls) == 1
