"""Running the model: all of one loop turn at once, on the loop or beside it.

A cheap model runs inline: most of its time is Python, and a thread would fight the loop for the
interpreter. A dear one runs in a single thread, where its native code lets the loop go on.

A model counts as dear if its warm-up says so, and until it has shown with real shoppers that it
is not: a warm-up does not know every history. One run inline that stalls the loop puts it back.
Where runs are late for shoppers altogether, or fail for all of them, a breaker spares most of them
the wait, and the service the runs.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, thread_time
from typing import Any
from weakref import WeakKeyDictionary

from models.batch import Batch
from models.model import Model
from models.request import Ranking, RankRequest
from monitoring.labels import ErrorKind, Stage
from monitoring.metrics import Metrics
from server.breaker import Breaker
from server.by_model import by_model
from server.coalescer import Coalescer

log = logging.getLogger(__name__)

INLINE_BELOW_S = 2e-3
"""A shopper's share of a run, in seconds, up to which the loop does it itself."""

STALL_S = 20e-3
"""Processor time of a run, in seconds, that the loop must not be held up for."""

LATE_S = 50e-3
"""Seconds for a run after which it counts as failed, for the breaker."""

TRIAL_RUNS = 50
"""Runs in a row without a stall, as large as the one that stalled, until a model may run inline."""

_HOLD_S = 1e-3
"""A round trip to a store nearby takes less: one more in a run costs a shopper less than a run."""

_MAX_BATCH = 32
_MAX_WAITING = 512


class ModelFailedError(Exception):
    """The model raised, as `__cause__` says: logged and counted already, once for all of a run."""


_Outcome = Ranking | ModelFailedError


class Inference:
    """Ranks for shoppers, sharing runs between those that came together."""

    def __init__(
        self,
        breaker: Breaker,
        metrics: Metrics,
        on_ranked: Callable[[Batch], None],
        reads: Coalescer[Any, Any] | None = None,
    ) -> None:
        """Start no thread before one is needed; `breaker` counts runs late or failed for all.

        `on_ranked` hears of every batch, in the thread that ranked it. A run is held for a moment
        for shoppers that are still in `reads`.
        """
        self._breaker = breaker
        self._why_open: type[Exception] = TimeoutError
        self._metrics = metrics
        self._on_ranked = on_ranked
        self._thread = ThreadPoolExecutor(1, "inference")
        self._trials: WeakKeyDictionary[Model, tuple[int, int]] = WeakKeyDictionary()
        """Of each model, its runs without a stall since the last one, and how large that was."""

        self._runs: Coalescer[tuple[Model, RankRequest], Ranking] = Coalescer(
            self._run,
            max_batch=_MAX_BATCH,
            max_running=1,
            max_waiting=_MAX_WAITING,
            fed_by=reads,
            hold_s=_HOLD_S,
        )

    def rank(
        self,
        model: Model,
        request: RankRequest,
        deadline: float,
        then: Callable[[Ranking | Exception], None],
    ) -> None:
        """Call `then` with the ranked items, or with `ModelFailedError` where there are none.

        Other errors are those of `Coalescer.submit`. While the model is known to be late it is
        `TimeoutError` at once, while it is known to fail `ModelFailedError`.
        """
        if self._breaker.allow():
            self._runs.submit((model, request), deadline, then)
        else:
            then(self._why_open())

    async def close(self) -> None:
        """Let the run under way end."""
        await self._runs.close()
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _run(self, asked: Sequence[tuple[Model, RankRequest]]) -> Sequence[_Outcome]:
        """Rank in one run; in one for each model while models are being swapped."""
        outcomes: dict[int, _Outcome] = {}
        for model, places, requests in by_model(asked):
            told = await self._run_one(model, requests)
            if len(places) == len(asked):
                return told
            outcomes.update(zip(places, told, strict=True))
        return [outcomes[place] for place in range(len(asked))]

    async def _run_one(self, model: Model, requests: list[RankRequest]) -> Sequence[_Outcome]:
        self._metrics.batch(len(requests))
        started = monotonic()
        runs, size = self._trials.get(model, (0, 0))
        if model.cost_s < INLINE_BELOW_S and runs >= TRIAL_RUNS:
            outcomes, took = self._timed(model, requests)
        else:
            loop = asyncio.get_running_loop()
            outcomes, took = await loop.run_in_executor(self._thread, self._timed, model, requests)
        if took >= STALL_S:
            self._trials[model] = 0, len(requests)
        elif runs < TRIAL_RUNS and len(requests) >= size:
            self._trials[model] = runs + 1, size
        self._judge(model, outcomes, monotonic() - started)
        return outcomes

    def _judge(self, model: Model, outcomes: Sequence[_Outcome], seconds: float) -> None:
        """Tell the breaker, and operators, of a run."""
        failed = [each for each in outcomes if isinstance(each, ModelFailedError)]
        if failed:
            told = "model %s failed for %d of %d"
            error = failed[0].__cause__
            log.error(told, model.version, len(failed), len(outcomes), exc_info=error)
            self._metrics.error(ErrorKind.MODEL)
        # One shopper's failure may be theirs alone.
        is_late, all_failed = seconds >= LATE_S, len(failed) == len(outcomes) > 1
        if is_late:
            log.warning("model %s took %.0f ms", model.version, 1e3 * seconds)
        if is_late or all_failed:
            self._why_open = ModelFailedError if all_failed else TimeoutError
            self._breaker.failed()
        else:
            self._breaker.succeeded()

    def _timed(self, model: Model, requests: list[RankRequest]) -> tuple[Sequence[_Outcome], float]:
        """Return the outcomes and the processor time they took, in seconds."""
        started = thread_time()
        outcomes = self._ranked(model, requests)
        return outcomes, thread_time() - started

    def _ranked(self, model: Model, requests: list[RankRequest]) -> Sequence[_Outcome]:
        """Return each request's ranking, or its own error: it spoils no other of the batch."""
        try:
            started = monotonic()
            batch = model.batch(requests)
            prepared = monotonic()
            rankings = model.rank(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is one request's
            if len(requests) == 1:
                failed = ModelFailedError()
                failed.__cause__ = error
                return [failed]
            return [self._ranked(model, [request])[0] for request in requests]
        self.ran(batch, started, prepared, monotonic())
        return rankings

    def ran(self, batch: Batch, started: float, prepared: float, ended: float) -> None:
        """Count a run that went well, in the thread that ran it; times are `monotonic` ones."""
        self._metrics.stage(Stage.FEATURES, prepared - started, len(batch))
        self._metrics.stage(Stage.RANK, ended - prepared, len(batch))
        self._metrics.missing_features(batch.missing)
        self._on_ranked(batch)
