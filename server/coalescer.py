"""Requests of one event-loop turn share one call; nobody waits for a window.

    submit ─ submit ─ submit ┐ (same turn)
                             └─ run([a, b, c]) ─ each gets its own result or its own error

What arrives while the allowed batches are under way becomes the next batch. Every waiter has
its own deadline; one that gives up or goes away takes nothing from the others. One timer serves
all of them: it is set for the earliest deadline, and most often finds nobody waiting any more.
A batch that nobody waits for any more, because it is late, may be left to end by itself.

Where batches `join`, one that ends while others wait leaves with theirs, two by two: what its
items go on to is then shared by twice as many. Who comes alone waits for nobody.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import chain
from time import monotonic
from typing import Generic, TypeAlias, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

Waiting: TypeAlias = tuple[Item, asyncio.Future[Result], float]
"""What was submitted, who waits for it, and until when."""

_TIMER_STEP_S = 1e-3
"""uvloop's timers know whole milliseconds: a deadline so near has come."""


class SaturatedError(Exception):
    """More is waiting than the coalescer may hold."""


class Coalescer(Generic[Item, Result]):
    """Shares one `run` call between all items submitted in one loop turn.

    `run` takes the items and returns, in order, a result or an exception for each; what it
    raises is every item's error.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        max_batch: int,
        max_running: int,
        max_waiting: int,
        join: bool = False,
        max_late: int = 0,
        on_late: Callable[[], None] = lambda: None,
    ) -> None:
        """Bound a batch's size, the batches under way at once, and the items waiting for one.

        Up to `max_late` batches that are late for all who waited do not count as under way;
        `on_late` hears of each.
        """
        self._run = run
        self._max_batch = max_batch
        self._max_running = max_running
        self._max_waiting = max_waiting
        self._join = join
        self._max_late = max_late
        self._on_late = on_late
        self._waiting: deque[Waiting[Item, Result]] = deque()
        self._running: dict[asyncio.Task[None], list[Waiting[Item, Result]]] = {}
        self._late: set[asyncio.Task[None]] = set()
        self._ended: list[tuple[list[Waiting[Item, Result]], Sequence[Result | Exception]]] = []
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf

    def submit(self, item: Item, deadline: float) -> "asyncio.Future[Result]":
        """Return what the result for `item` will be in; call it on the event loop, and await it.

        It raises `TimeoutError` when `time.monotonic` passes `deadline` first, or the error that
        `run` gave for this item. Raises `SaturatedError` when too much is waiting. Keep it in no
        variable of a frame that its error passes: the two would hold each other, and all that the
        frame holds, until a full collection.
        """
        if len(self._waiting) >= self._max_waiting:
            raise SaturatedError
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        if deadline < self._timer_at:
            self._set_timer(loop, deadline)
        self._waiting.append((item, future, deadline))
        self._schedule(loop)
        return future

    def is_left(self) -> bool:
        """Tell the call that asks whether it was left as late."""
        return asyncio.current_task() in self._late

    async def close(self) -> None:
        """Wait for the calls under way, end late ones; new submissions are the caller's to stop."""
        while self._running:
            await asyncio.wait(self._running)
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(at - monotonic(), self._expire, loop)
        self._timer_at = at

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let those go whose time is up, and come back for the next."""
        self._timer, self._timer_at = None, math.inf
        self._settle_ended()
        now = monotonic() + _TIMER_STEP_S
        for _, future, deadline in self._awaited():
            if deadline <= now:
                future.set_exception(TimeoutError())
        self._leave_late(loop)
        if left := [deadline for *_, deadline in self._awaited()]:
            self._set_timer(loop, min(left))

    def _awaited(self) -> "Iterator[Waiting[Item, Result]]":
        """Return those whose result somebody waits for."""
        return (
            each for each in chain(self._waiting, *self._running.values()) if not each[1].done()
        )

    def _leave_late(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make room for others where nobody waits for what is under way."""
        for task, batch in list(self._running.items()):
            if task.done() or len(self._late) >= self._max_late:
                continue
            if all(future.done() for _, future, _ in batch):
                del self._running[task]
                self._late.add(task)
                self._on_late()
        if self._waiting:
            self._schedule(loop)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._scheduled and len(self._running) < self._max_running:
            self._scheduled = True
            loop.call_soon(self._flush, loop)

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled = False
        while len(self._running) < self._max_running and (batch := self._take()):
            task = loop.create_task(self._call(batch))
            self._running[task] = batch
            task.add_done_callback(self._finished)
        if not self._running:
            self._settle_ended()

    def _take(self) -> list[Waiting[Item, Result]]:
        batch: list[Waiting[Item, Result]] = []
        while self._waiting and len(batch) < self._max_batch:
            waiting = self._waiting.popleft()
            if not waiting[1].done():
                batch.append(waiting)
        return batch

    async def _call(self, batch: list[Waiting[Item, Result]]) -> None:
        try:
            results = await self._results([item for item, *_ in batch])
        except BaseException:  # the end of the loop: nobody may wait for what will not come
            for _, future, _ in batch:
                future.cancel()
            raise
        self._ended.append((batch, results))
        if not (self._join and self._waiting and len(self._ended) == 1):
            self._settle_ended()

    def _settle_ended(self) -> None:
        ended, self._ended = self._ended, []
        for batch, results in ended:
            for (_, future, _), result in zip(batch, results, strict=True):
                _settle(future, result)

    async def _results(self, items: list[Item]) -> Sequence[Result | Exception]:
        try:
            results = await self._run(items)
        except Exception as error:  # noqa: BLE001 - every waiter gets it
            return [error] * len(items)
        if len(results) != len(items):
            told = f"expected {len(items)} results, got {len(results)}"
            return [RuntimeError(told)] * len(items)
        return results

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._late.discard(task)
        if self._waiting:
            self._schedule(task.get_loop())


def _settle(future: "asyncio.Future[Result]", result: Result | Exception) -> None:
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
