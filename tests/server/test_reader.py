"""Reading within the budget: late reads, the breaker, and what the answer will say."""

import asyncio
from collections.abc import Sequence
from time import monotonic

from prometheus_client import CollectorRegistry

from features.errors import StoreError
from features.online.store import STRANGER, NullStore, ShopperQuery, ShopperRead
from monitoring.labels import BreakerState, Reason
from monitoring.metrics import Metrics
from server.breaker import Breaker
from server.reader import Reader
from tests.support.asking import result_of

QUERY = ShopperQuery("u1", "b")


class Store(NullStore):
    """A store that can be held back or made to fail, and counts its round trips."""

    def __init__(self) -> None:
        """Work well."""
        self.round_trips = 0
        self.fails = False
        self.held: asyncio.Event | None = None

    async def read(self, queries: Sequence[ShopperQuery]) -> list[ShopperRead]:
        """Read as told."""
        self.round_trips += 1
        if self.held is not None:
            await self.held.wait()
        if self.fails:
            raise StoreError("down")
        return await super().read(queries)


class Clock:
    """A clock that is moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def make(store: Store, budget_s: float = 5.0) -> tuple[Reader, Breaker, Clock]:
    """Return a reader over `store`, its breaker, and the breaker's clock."""
    clock = Clock()
    breaker = Breaker(clock, threshold=3, cooldown_s=1.0)
    return Reader(store, breaker, Metrics(CollectorRegistry()), budget_s), breaker, clock


async def read(reader: Reader) -> ShopperRead | Reason:
    """Return what was read, or why nothing was."""
    return await read_until(reader, monotonic() + 5)


async def read_until(reader: Reader, at: float) -> ShopperRead | Reason:
    """Return what was read before a moment, or why nothing was."""
    outcome: ShopperRead | Reason = await result_of(reader.read, QUERY, at)
    return outcome


async def test_shoppers_of_one_turn_share_a_round_trip() -> None:
    """Twenty shoppers at once are one read."""
    store = Store()
    reader, _, _ = make(store)
    reads = await asyncio.gather(*(read(reader) for _ in range(20)))
    assert len(reads) == 20
    assert store.round_trips == 1


async def test_values_that_are_not_believed_are_counted() -> None:
    """The shopper gets what else there is; who runs the store should know."""

    class Strange(Store):
        async def read(self, queries: Sequence[ShopperQuery]) -> list[ShopperRead]:
            return [ShopperRead(STRANGER, None, disbelieved=2) for _ in queries]

    registry = CollectorRegistry()
    reader = Reader(Strange(), Breaker(Clock()), Metrics(registry), budget_s=5.0)
    await asyncio.gather(read(reader), read(reader))
    assert registry.get_sample_value("cuvee_errors_total", {"kind": "store_value"}) == 4


async def test_a_late_store_is_a_timeout() -> None:
    """The wait ends with the budget; the read itself goes on and is not cancelled."""
    store = Store()
    store.held = asyncio.Event()
    reader, _, _ = make(store, budget_s=0.01)
    assert await read(reader) is Reason.FEATURE_TIMEOUT
    store.held.set()
    await reader.close()


async def test_the_deadline_clips_the_budget() -> None:
    """A request that is nearly out of time does not wait the whole budget."""
    store = Store()
    store.held = asyncio.Event()
    reader, _, _ = make(store, budget_s=30.0)
    assert await read_until(reader, monotonic() + 0.01) is Reason.DEADLINE
    store.held.set()
    await reader.close()


async def test_who_is_late_already_costs_no_trial() -> None:
    """While the breaker is half open, its one try is for somebody whose time is not up."""
    store = Store()
    store.fails = True
    reader, breaker, clock = make(store)
    for _ in range(3):
        await read(reader)
    store.fails = False
    clock.now = 1.0
    assert await read_until(reader, monotonic()) is Reason.DEADLINE
    assert breaker.state is BreakerState.OPEN
    assert isinstance(await read(reader), ShopperRead)


async def test_the_breaker_stops_asking_a_dead_store() -> None:
    """After three failed round trips the store is left alone, then tried once."""
    store = Store()
    store.fails = True
    reader, breaker, clock = make(store)
    reasons = [await read(reader) for _ in range(10)]
    assert set(reasons) == {Reason.FEATURE_ERROR}
    assert (store.round_trips, breaker.state) == (3, BreakerState.OPEN)
    store.fails = False
    clock.now = 1.0
    assert isinstance(await read(reader), ShopperRead)
    assert breaker.state is BreakerState.CLOSED


async def test_one_failed_round_trip_is_one_failure() -> None:
    """However many shoppers shared it, a hiccup does not open the breaker."""
    store = Store()
    store.fails = True
    reader, breaker, _ = make(store)
    await asyncio.gather(*(read(reader) for _ in range(30)))
    assert breaker.state is BreakerState.CLOSED


async def test_an_open_breaker_says_why() -> None:
    """A store that was late stays `feature_timeout` while it is left alone."""
    store = Store()
    store.held = asyncio.Event()
    reader, breaker, _ = make(store, budget_s=0.005)
    reasons = [await read(reader) for _ in range(6)]
    assert set(reasons) == {Reason.FEATURE_TIMEOUT}
    assert breaker.state is BreakerState.OPEN
    store.held.set()
    await reader.close()


async def test_only_what_was_asked_of_the_store_was_read() -> None:
    """Who is late already, or meets an open breaker, makes no read look quick."""
    store, clock, registry = Store(), Clock(), CollectorRegistry()
    store.fails = True
    metrics = Metrics(registry)
    reader = Reader(store, Breaker(clock, threshold=3), metrics, budget_s=5.0)
    await read_until(reader, monotonic())
    for _ in range(10):
        await read(reader)
    store.fails = False
    clock.now = 1.0
    await read(reader)
    metrics.enter()
    count = registry.get_sample_value("cuvee_stage_duration_seconds_count", {"stage": "read"})
    assert count == store.round_trips == 4
