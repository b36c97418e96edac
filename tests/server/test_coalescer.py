"""Requests of one turn share a call; each has its own deadline and its own error."""

import asyncio
import gc
import weakref
from collections.abc import Iterator, Sequence
from functools import partial
from time import monotonic
from typing import Any

import pytest

from features.futures import settle
from server.coalescer import Coalescer, SaturatedError
from tests.support.asking import result_of


class Doubler:
    """Doubles numbers, notes its batches, and can be held back."""

    def __init__(self) -> None:
        """Hold nothing back."""
        self.batches: list[list[int]] = []
        self.entered = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken = False

    async def __call__(self, items: Sequence[int]) -> Sequence[int | Exception]:
        """Double `items`; a negative one is its own error."""
        self.batches.append(list(items))
        self.entered.set()
        await self.gate.wait()
        if self.broken:
            raise ValueError
        return [ValueError(str(item)) if item < 0 else 2 * item for item in items]


def make(run: Doubler, **bounds: Any) -> Coalescer[int, int]:
    """Return a coalescer over `run`."""
    return Coalescer(run, **{"max_batch": 8, "max_running": 1, "max_waiting": 64, **bounds})


def soon() -> float:
    """Return a deadline that nobody reaches."""
    return monotonic() + 30


async def test_items_of_one_turn_share_a_call() -> None:
    """Ten submissions of one turn are one batch, and each gets its own result."""
    run = Doubler()
    coalescer = make(run, max_batch=16)
    results = await asyncio.gather(*(result_of(coalescer.submit, n, soon()) for n in range(10)))
    assert results == [2 * n for n in range(10)]
    assert run.batches == [list(range(10))]


async def test_batches_are_bounded() -> None:
    """What exceeds the batch size goes into the next one, in order."""
    run = Doubler()
    await asyncio.gather(*(result_of(make(run, max_batch=4).submit, n, soon()) for n in range(3)))
    coalescer = make(run, max_batch=2)
    run.batches.clear()
    await asyncio.gather(*(result_of(coalescer.submit, n, soon()) for n in range(5)))
    assert run.batches == [[0, 1], [2, 3], [4]]


async def test_one_error_is_one_waiters() -> None:
    """An item's error reaches its own waiter; its neighbours get their results."""
    coalescer = make(Doubler())
    one, bad, two = await asyncio.gather(
        *(result_of(coalescer.submit, n, soon()) for n in (1, -1, 2)), return_exceptions=True
    )
    assert (one, two) == (2, 4)
    assert isinstance(bad, ValueError)


async def test_what_arrives_meanwhile_is_the_next_batch() -> None:
    """While a call is under way the others gather, and go together."""
    run = Doubler()
    coalescer = make(run)
    run.gate.clear()
    first = result_of(coalescer.submit, 0, soon())
    await run.entered.wait()
    rest = [result_of(coalescer.submit, n, soon()) for n in (1, 2, 3)]
    await asyncio.sleep(0)
    run.gate.set()
    assert await asyncio.gather(first, *rest) == [0, 2, 4, 6]
    assert run.batches == [[0], [1, 2, 3]]


async def test_each_waiter_has_its_own_deadline() -> None:
    """One that waited too long gets a timeout; the call goes on for the other."""
    run = Doubler()
    coalescer = make(run)
    run.gate.clear()
    patient = result_of(coalescer.submit, 1, soon())
    with pytest.raises(TimeoutError):
        await result_of(coalescer.submit, 2, monotonic())
    run.gate.set()
    assert await patient == 2


async def test_the_expired_are_not_computed() -> None:
    """A waiter whose time ran out before its batch began costs nothing."""
    run = Doubler()
    coalescer = make(run)
    run.gate.clear()
    first = result_of(coalescer.submit, 1, soon())
    await run.entered.wait()
    with pytest.raises(TimeoutError):
        await result_of(coalescer.submit, 2, monotonic())
    third = result_of(coalescer.submit, 3, soon())
    await asyncio.sleep(0)
    run.gate.set()
    assert list(await asyncio.gather(first, third)) == [2, 6]
    assert run.batches == [[1], [3]]


async def test_who_cannot_take_a_result_takes_nothing_from_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is told in the log; neighbours hear of theirs, and the next call is made."""
    coalescer = make(Doubler())

    def refuse(_: int | Exception) -> None:
        raise LookupError

    coalescer.submit(1, soon(), refuse)
    assert await result_of(coalescer.submit, 2, soon()) == 4
    assert "found nobody" in caplog.text
    assert await result_of(coalescer.submit, 3, soon()) == 6


async def test_a_call_that_is_cancelled_leaves_nobody_waiting() -> None:
    """As the loop's end does it."""

    async def cancelled(_: Sequence[int]) -> list[int]:
        raise asyncio.CancelledError

    coalescer: Coalescer[int, int] = Coalescer(cancelled, max_batch=8, max_running=1, max_waiting=8)
    waiting = [result_of(coalescer.submit, n, soon()) for n in range(2)]
    done, pending = await asyncio.wait(waiting, timeout=5)
    assert (len(done), pending) == (2, set())


async def test_too_few_results_are_everybodys_error() -> None:
    """Nobody gets another's."""

    async def careless(items: Sequence[int]) -> Sequence[int]:
        return items[1:]

    coalescer: Coalescer[int, int] = Coalescer(careless, max_batch=8, max_running=1, max_waiting=8)
    waiting = [result_of(coalescer.submit, n, soon()) for n in range(2)]
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(each) for each in told] == ["expected 2 results, got 1"] * 2


async def test_too_much_waiting_is_refused() -> None:
    """Beyond its bound the coalescer refuses at once instead of queueing."""
    run = Doubler()
    coalescer = make(run, max_waiting=2)
    run.gate.clear()
    first = result_of(coalescer.submit, 0, soon())
    await run.entered.wait()
    waiting = [result_of(coalescer.submit, n, soon()) for n in (1, 2)]
    await asyncio.sleep(0)
    with pytest.raises(SaturatedError):
        await result_of(coalescer.submit, 3, soon())
    run.gate.set()
    assert await asyncio.gather(first, *waiting) == [0, 2, 4]


async def test_a_failing_call_fails_all_its_waiters() -> None:
    """What the call itself raises is every waiter's error."""

    async def broken(_: Sequence[int]) -> Sequence[int]:
        raise ConnectionError

    coalescer: Coalescer[int, int] = Coalescer(broken, max_batch=8, max_running=1, max_waiting=8)
    results = await asyncio.gather(
        *(result_of(coalescer.submit, n, soon()) for n in range(3)), return_exceptions=True
    )
    assert all(isinstance(each, ConnectionError) for each in results)


async def test_close_waits_for_the_call_under_way() -> None:
    """After close no call is left behind."""
    run = Doubler()
    coalescer = make(run)
    pending = result_of(coalescer.submit, 4, soon())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await coalescer.close()
    assert await pending == 8


class Held:
    """What a caller has in hand while it waits."""


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Collect no garbage while the test runs."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize(
    ("number", "seconds", "broken"), [(1, 0.0, False), (-1, 30.0, False), (1, 30.0, True)]
)
async def test_an_error_holds_nothing(number: int, seconds: float, broken: bool) -> None:
    """Once it is handled, what the caller had is gone, without the garbage collector."""
    run = Doubler()
    run.gate.clear()
    run.broken = broken
    coalescer = make(run)
    asyncio.get_running_loop().call_later(0.05, run.gate.set)

    async def ask() -> "weakref.ref[Held]":
        held = Held()
        try:
            await result_of(coalescer.submit, number, monotonic() + seconds)
        except (TimeoutError, ValueError):
            return weakref.ref(held)
        raise AssertionError

    told = await ask()
    await coalescer.close()
    assert told() is None


async def test_a_late_batch_makes_room() -> None:
    """Once nobody waits for it the next may run, and whoever keeps count hears of it once."""
    run, heard = Doubler(), []
    run.gate.clear()
    coalescer = make(run, max_late=1, on_late=lambda: heard.append(1))
    for item in (1, 2):
        with pytest.raises(TimeoutError):
            await result_of(coalescer.submit, item, monotonic() + 0.02)
    assert run.batches == [[1], [2]]
    assert heard == [1]
    with pytest.raises(TimeoutError):  # a second late one has no place: nothing runs beside it
        await result_of(coalescer.submit, 3, monotonic() + 0.02)
    assert run.batches == [[1], [2]]
    run.gate.set()
    assert await result_of(coalescer.submit, 4, soon()) == 8
    await coalescer.close()


async def test_a_batch_that_is_late_for_some_is_not_left() -> None:
    """Others still wait for it."""
    run = Doubler()
    run.gate.clear()
    coalescer = make(run, max_late=1)
    patient = result_of(coalescer.submit, 1, soon())
    with pytest.raises(TimeoutError):
        await result_of(coalescer.submit, 2, monotonic() + 0.02)
    later = result_of(coalescer.submit, 3, soon())
    await asyncio.sleep(0.02)
    assert run.batches == [[1, 2]]
    run.gate.set()
    assert [await patient, await later] == [2, 6]


async def test_closing_ends_what_is_late() -> None:
    """It would never end by itself."""
    run = Doubler()
    run.gate.clear()
    coalescer = make(run, max_late=1)
    with pytest.raises(TimeoutError):
        await result_of(coalescer.submit, 1, monotonic() + 0.02)
    await asyncio.wait_for(coalescer.close(), 10)


async def fed(run: Doubler, hold_s: float) -> tuple[Coalescer[int, int], Coalescer[int, int]]:
    """Return a coalescer over `run`, and what feeds it: a batch of that is stuck."""
    feeding = Doubler()
    feeding.gate.clear()
    feeder = make(feeding)
    coalescer = make(run, fed_by=feeder, hold_s=hold_s)
    result_of(feeder.submit, 1, soon()).add_done_callback(lambda _: None)
    await feeding.entered.wait()
    return coalescer, feeder


async def test_what_waits_is_held_for_what_comes_next() -> None:
    """What ends in the one that feeds it shares its call."""
    run, feeding = Doubler(), Doubler()
    feeding.gate.clear()
    feeder = make(feeding)
    coalescer = make(run, fed_by=feeder, hold_s=10.0)
    results: list[asyncio.Future[int]] = []

    def go_on(told: int | Exception) -> None:
        assert isinstance(told, int)
        results.append(result_of(coalescer.submit, told, soon()))

    feeder.submit(1, soon(), go_on)
    await feeding.entered.wait()
    first = result_of(coalescer.submit, 7, soon())
    feeder.submit(2, soon(), go_on)  # comes while a batch is under way, and is awaited, too
    for _ in range(5):
        await asyncio.sleep(0)
    assert run.batches == []
    feeding.gate.set()
    assert await first == 14
    assert run.batches == [[7, 2, 4]]
    assert [await each for each in results] == [4, 8]


async def test_who_comes_alone_waits_for_nobody() -> None:
    """Where nothing is under way there is nothing to wait for."""
    run = Doubler()
    coalescer = make(run, fed_by=make(Doubler()), hold_s=1e6)
    assert await asyncio.wait_for(result_of(coalescer.submit, 1, soon()), 10) == 2


async def test_who_was_told_alone_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch that told them is under way no more."""
    held, holds = list[bool](), Coalescer._holds

    def noting(coalescer: Coalescer[int, int]) -> bool:
        held.append(holds(coalescer))
        return held[-1]

    monkeypatch.setattr(Coalescer, "_holds", noting)
    feeder = make(Doubler())
    coalescer = make(Doubler(), fed_by=feeder, hold_s=1e6)
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def go_on(result: int | Exception) -> None:
        assert isinstance(result, int)
        coalescer.submit(result, soon(), partial(settle, told))

    feeder.submit(1, soon(), go_on)
    assert await asyncio.wait_for(told, 10) == 4
    assert held == [False, False]


async def test_nobody_is_held_for_ever() -> None:
    """What feeds may be stuck."""
    run = Doubler()
    coalescer, _ = await fed(run, hold_s=0.01)
    assert await result_of(coalescer.submit, 1, soon()) == 2


async def test_who_is_held_is_not_held_past_their_time() -> None:
    """A deadline is one, whatever is waited for."""
    run = Doubler()
    coalescer, _ = await fed(run, hold_s=1e6)
    with pytest.raises(TimeoutError):
        await result_of(coalescer.submit, 1, monotonic() + 0.02)
    assert run.batches == []


async def test_a_full_batch_is_not_held() -> None:
    """Nobody more could join it."""
    run = Doubler()
    coalescer, _ = await fed(run, hold_s=1e6)
    results = [result_of(coalescer.submit, item, soon()) for item in range(8)]
    assert await asyncio.gather(*results) == [2 * item for item in range(8)]
    assert run.batches == [[*range(8)]]


async def test_where_the_feeder_ends_in_nothing_what_waits_goes_on() -> None:
    """What came of a batch there may not come here: a list was cached."""
    run, feeding = Doubler(), Doubler()
    feeding.gate.clear()
    feeder = make(feeding)
    coalescer = make(run, fed_by=feeder, hold_s=1e6)
    other = result_of(feeder.submit, 1, soon())
    await feeding.entered.wait()
    waiting = result_of(coalescer.submit, 1, soon())
    feeding.gate.set()
    assert await other == 2
    assert await asyncio.wait_for(waiting, 10) == 2
