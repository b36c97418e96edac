"""Requests of one event-loop turn share one call; nobody waits for a window.

    submit ─ submit ─ submit ┐ (same turn)
                             └─ run([a, b, c]) ─ each hears of its own result or its own error

What arrives while the allowed batches are under way becomes the next batch. Every waiter has
its own deadline; one that gives up takes nothing from the others. One timer serves all of them:
it is set for the earliest deadline, and most often finds nobody waiting any more.
A batch that nobody waits for any more, because it is late, may be left to end by itself.

A coalescer may be fed by another: what waits here is held for a moment while a batch is under way
there, since those items come here next and share the call. Who comes alone waits for nobody.

Who waits is called, not woken: a task and a future for each would cost more than a cached answer.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import chain
from time import monotonic
from typing import Any, Generic, TypeVar

from features.futures import end

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

_TIMER_STEP_S = 1e-3
"""uvloop's timers know whole milliseconds: a deadline so near has come."""


class SaturatedError(Exception):
    """More is waiting than the coalescer may hold."""


class _Waiter(Generic[Item, Result]):
    """What was submitted, until when, and who is called; nobody once that was done."""

    __slots__ = ("deadline", "item", "then")

    def __init__(
        self, item: Item, deadline: float, then: Callable[[Result | Exception], None]
    ) -> None:
        self.item = item
        self.deadline = deadline
        self.then: Callable[[Result | Exception], None] | None = then

    def settle(self, result: Result | Exception) -> None:
        then, self.then = self.then, None
        if then is None:
            return
        try:
            then(result)
        except Exception:  # the others have not heard yet
            log.exception("a result found nobody to take it")


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
        fed_by: "Coalescer[Any, Any] | None" = None,
        hold_s: float = 0.0,
        max_late: int = 0,
        on_late: Callable[[], None] = lambda: None,
    ) -> None:
        """Bound a batch's size, the batches under way at once, and the items waiting for one.

        Items wait for others that are still in `fed_by`, if it is given, at most `hold_s` seconds.
        Up to `max_late` batches that are late for all who waited do not count as under way;
        `on_late` hears of each.
        """
        self._run = run
        self._max_batch = max_batch
        self._max_running = max_running
        self._max_waiting = max_waiting
        self._fed_by = fed_by
        self._hold_s = hold_s
        self._max_late = max_late
        self._on_late = on_late
        self._waiting: deque[_Waiter[Item, Result]] = deque()
        self._running: dict[asyncio.Task[None], list[_Waiter[Item, Result]]] = {}
        self._late: set[asyncio.Task[None]] = set()
        self._since = 0.0
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self.feeds: list[Coalescer[Any, Any]] = []
        """Those that are fed by this one."""

        if fed_by is not None:
            fed_by.feeds.append(self)

    @property
    def is_busy(self) -> bool:
        """Tell whether anybody waits for a batch, or for one under way."""
        return bool(self._waiting) or any(self._running.values())

    def submit(
        self, item: Item, deadline: float, then: Callable[[Result | Exception], None]
    ) -> None:
        """Call `then` once, on this event loop, with the result for `item` or with an error.

        That is `TimeoutError` when `time.monotonic` passes `deadline` first, `SaturatedError` (at
        once) when too much is waiting, or the error that `run` gave for this item.
        """
        if len(self._waiting) >= self._max_waiting:
            then(SaturatedError())
            return
        if deadline < self._timer_at:
            self._set_timer(deadline)
        if not self._waiting:
            self._since = monotonic()
        self._waiting.append(_Waiter(item, deadline, then))
        if not self._scheduled:
            self._schedule()

    def look(self) -> None:
        """Begin what waits and may begin."""
        if self._waiting:
            self._schedule()

    def is_left(self) -> bool:
        """Tell the call that asks whether it was left as late."""
        return asyncio.current_task() in self._late

    async def close(self) -> None:
        """Wait for the calls under way, end late ones; new submissions are the caller's to stop."""
        while self._running:
            await asyncio.wait(self._running)
        await end(*self._late)
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(at - monotonic(), self._expire)
        self._timer_at = at

    def _expire(self) -> None:
        """Let those go whose time is up, and come back for the next."""
        self._timer, self._timer_at = None, math.inf
        now = monotonic() + _TIMER_STEP_S
        for each in list(self._awaited()):
            if each.deadline <= now:
                each.settle(TimeoutError())
        self._leave_late()
        left = min((each.deadline for each in self._awaited()), default=math.inf)
        if left < self._timer_at:
            self._set_timer(left)

    def _awaited(self) -> "Iterator[_Waiter[Item, Result]]":
        """Return those whose result somebody waits for."""
        return (
            each for each in chain(self._waiting, *self._running.values()) if each.then is not None
        )

    def _leave_late(self) -> None:
        """Make room for others where nobody waits for what is under way."""
        for task, batch in list(self._running.items()):
            if task.done() or len(self._late) >= self._max_late:
                continue
            if all(each.then is None for each in batch):
                del self._running[task]
                self._late.add(task)
                self._on_late()
        self.look()

    def _schedule(self) -> None:
        if not self._scheduled and len(self._running) < self._max_running:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if self._holds():
            return
        while len(self._running) < self._max_running and (batch := self._take()):
            task = asyncio.create_task(self._call(batch))
            self._running[task] = batch
            task.add_done_callback(self._finished)

    def _holds(self) -> bool:
        """Tell whether what waits is to wait for what is in the one that feeds this.

        Looked at anew when a batch ends there, and when the time for it is over.
        """
        feeder = self._fed_by
        if feeder is None or not feeder.is_busy or len(self._waiting) >= self._max_batch:
            return False
        left = self._since + self._hold_s - monotonic()
        if left < _TIMER_STEP_S / 2:
            return False
        asyncio.get_running_loop().call_later(left, self.look)
        return True

    def _take(self) -> list[_Waiter[Item, Result]]:
        batch: list[_Waiter[Item, Result]] = []
        while self._waiting and len(batch) < self._max_batch:
            waiter = self._waiting.popleft()
            if waiter.then is not None:
                batch.append(waiter)
        return batch

    async def _call(self, batch: list[_Waiter[Item, Result]]) -> None:
        try:
            results = await self._results([each.item for each in batch])
        except BaseException:  # the end of the loop: nobody may wait for what will not come
            for each in batch:
                each.settle(TimeoutError())
            raise
        told = batch.copy()
        batch.clear()  # nobody waits any more: what they ask next need not be held for this
        for waiter, result in zip(told, results, strict=True):
            waiter.settle(result)

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
        self.look()
        for each in self.feeds:
            each.look()
