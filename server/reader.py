"""Reading shoppers within the feature budget, whatever state the store is in.

read ─ breaker open? ─ share this turn's round trip ─ wait at most the budget ─ answer or reason

A read that is late is left to end by itself: cancelling it would cost its connection. The
breaker counts round trips, not shoppers, so that one hiccup under load does not open it.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic

from features.errors import StoreError, StoreTimeoutError
from features.online.store import OnlineStore, ShopperQuery, ShopperRead
from monitoring.labels import ErrorKind, Reason, Stage
from monitoring.metrics import Metrics
from server.breaker import Breaker
from server.coalescer import Coalescer, SaturatedError

log = logging.getLogger(__name__)

_MAX_BATCH = 64
_MAX_RUNNING = 1
"""A read takes a round trip; what comes meanwhile shares the next, and then one model run."""

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
        self.reads: Coalescer[ShopperQuery, ShopperRead] = Coalescer(
            self._round_trip,
            max_batch=_MAX_BATCH,
            max_running=_MAX_RUNNING,
            max_waiting=_MAX_WAITING,
            max_late=_MAX_LATE,
            on_late=self._left_as_late,
        )
        """Shares round trips; see `Inference`, which they feed."""

    def read(
        self, query: ShopperQuery, deadline: float, then: Callable[[ShopperRead | Reason], None]
    ) -> None:
        """Call `then` with what the store knows, or within the budget with why that is not told."""
        now = monotonic()
        until = min(now + self._budget_s, deadline)
        late = Reason.DEADLINE if until == deadline else Reason.FEATURE_TIMEOUT
        if until <= now:
            then(late)
        elif self._breaker.allow():
            self.reads.submit(query, until, partial(self._tell, then, late, now))
        else:
            then(self._why_open)

    async def close(self) -> None:
        """End the reads under way."""
        await self.reads.close()

    async def _round_trip(self, queries: Sequence[ShopperQuery]) -> Sequence[ShopperRead]:
        try:
            reads = await self._store.read(queries)
        except StoreError as error:
            if not self.reads.is_left():  # else it was counted then
                self._failed(_why(error), str(error))
            raise
        if not self.reads.is_left():
            self._breaker.succeeded()
            self._metrics.breaker(self._breaker.state)
        for _ in range(sum(each.disbelieved for each in reads)):
            self._metrics.error(ErrorKind.STORE_VALUE)
        return reads

    def _tell(
        self,
        then: Callable[[ShopperRead | Reason], None],
        late: Reason,
        started: float,
        outcome: ShopperRead | Exception,
    ) -> None:
        took = monotonic() - started
        then(_told(outcome, late))
        if not isinstance(outcome, SaturatedError):
            self._metrics.stage(Stage.READ, took)

    def _left_as_late(self) -> None:
        self._failed(Reason.FEATURE_TIMEOUT, "no answer from the online store in time")

    def _failed(self, why: Reason, told: str) -> None:
        log.warning("lists are popular ones for a while: %s", told)
        self._why_open = why
        is_late = why is Reason.FEATURE_TIMEOUT
        self._metrics.error(ErrorKind.STORE_TIMEOUT if is_late else ErrorKind.STORE)
        self._breaker.failed()
        self._metrics.breaker(self._breaker.state)


def _told(outcome: ShopperRead | Exception, late: Reason) -> ShopperRead | Reason:
    if isinstance(outcome, ShopperRead):
        return outcome
    if isinstance(outcome, TimeoutError):
        return late
    if isinstance(outcome, SaturatedError):
        return Reason.OVERLOAD
    if not isinstance(outcome, StoreError):
        log.error("shoppers could not be read", exc_info=outcome)
    return _why(outcome)


def _why(error: Exception) -> Reason:
    """Return what the answer will say of a read that failed."""
    is_late = isinstance(error, StoreTimeoutError)
    return Reason.FEATURE_TIMEOUT if is_late else Reason.FEATURE_ERROR
