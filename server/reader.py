"""Reading shoppers within the feature budget, whatever state the store is in.

read ─ breaker open? ─ share this turn's round trip ─ wait at most the budget ─ answer or reason

A read that is late is left to end by itself: cancelling it would cost its connection. The
breaker counts round trips, not shoppers, so that one hiccup under load does not open it.
"""

import asyncio
from collections.abc import Sequence
from time import monotonic

from features.errors import StoreError, StoreTimeoutError
from features.online import OnlineStore, ShopperQuery, ShopperRead
from monitoring.labels import ErrorKind, Reason
from monitoring.metrics import Metrics
from server.breaker import Breaker
from server.coalescer import Coalescer, SaturatedError
from server.deadline import Deadline

_MAX_BATCH = 64
_MAX_RUNNING = 4
_MAX_WAITING = 1_024
_MAX_LATE = 16


class Reader:
    """Reads shoppers from a store, all of one loop turn in one round trip."""

    def __init__(
        self, store: OnlineStore, breaker: Breaker, metrics: Metrics, budget_s: float
    ) -> None:
        """Give every read at most `budget_s` seconds."""
        self._store = store
        self._breaker = breaker
        self._metrics = metrics
        self._budget_s = budget_s
        self._why_open = Reason.FEATURE_ERROR
        self._late: set[asyncio.Task[list[ShopperRead]]] = set()
        self._reads: Coalescer[ShopperQuery, ShopperRead] = Coalescer(
            self._round_trip,
            max_batch=_MAX_BATCH,
            max_running=_MAX_RUNNING,
            max_waiting=_MAX_WAITING,
        )

    async def read(self, query: ShopperQuery, deadline: Deadline) -> ShopperRead | Reason:
        """Return what the store knows, or within the budget why that cannot be told."""
        if not self._breaker.allow():
            return self._why_open
        try:
            return await self._reads.submit(query, deadline.within(self._budget_s, monotonic()))
        except (TimeoutError, StoreTimeoutError):
            return Reason.FEATURE_TIMEOUT
        except StoreError:
            return Reason.FEATURE_ERROR
        except SaturatedError:
            return Reason.OVERLOAD

    async def close(self) -> None:
        """End the reads under way."""
        await self._reads.close()
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    async def _round_trip(self, queries: Sequence[ShopperQuery]) -> Sequence[ShopperRead]:
        if len(self._late) >= _MAX_LATE:
            raise self._failed(StoreTimeoutError(f"{_MAX_LATE} reads are late already"))
        task = asyncio.ensure_future(self._store.read(queries))
        done, _ = await asyncio.wait((task,), timeout=self._budget_s)
        if not done:
            self._late.add(task)
            task.add_done_callback(self._arrived)
            raise self._failed(StoreTimeoutError("the online store is late"))
        try:
            reads = task.result()
        except StoreError as error:
            raise self._failed(error) from None
        finally:
            del task, done  # an error knows this frame, and the task the error
        self._breaker.succeeded()
        self._metrics.breaker(self._breaker.state)
        return reads

    def _failed(self, error: StoreError) -> StoreError:
        late = isinstance(error, StoreTimeoutError)
        self._why_open = Reason.FEATURE_TIMEOUT if late else Reason.FEATURE_ERROR
        self._metrics.error(ErrorKind.STORE_TIMEOUT if late else ErrorKind.STORE)
        self._breaker.failed()
        self._metrics.breaker(self._breaker.state)
        return error

    def _arrived(self, task: "asyncio.Task[list[ShopperRead]]") -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved, so that it is not told as forgotten
