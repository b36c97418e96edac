"""Running the model: all of one loop turn at once, on the loop or beside it.

A cheap model runs inline: most of its time is Python, and a thread would fight the loop for the
interpreter. A dear one runs in a single thread, where its native code lets the loop go on.
Which one it is was measured when the model was warmed.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

from models.model import Model
from models.request import Ranking, RankRequest
from monitoring.labels import Stage
from monitoring.metrics import Metrics
from server.coalescer import Coalescer

INLINE_BELOW_S = 2e-3
"""A shopper's share of a run, in seconds, up to which the loop does it itself."""

_MAX_BATCH = 32
_MAX_WAITING = 512

_Outcome = Ranking | Exception


class Inference:
    """Ranks for shoppers, sharing runs between those that came together."""

    def __init__(self, metrics: Metrics) -> None:
        """Start no thread before one is needed."""
        self._metrics = metrics
        self._thread = ThreadPoolExecutor(1, "inference")
        self._runs: Coalescer[tuple[Model, RankRequest], Ranking] = Coalescer(
            self._run, max_batch=_MAX_BATCH, max_running=1, max_waiting=_MAX_WAITING
        )

    async def rank(self, model: Model, request: RankRequest, deadline: float) -> Ranking:
        """Return the ranked items.

        Raises what `Coalescer.submit` does, or what the model raised for this request.
        """
        return await self._runs.submit((model, request), deadline)

    async def close(self) -> None:
        """Let the run under way end."""
        await self._runs.close()
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _run(self, asked: Sequence[tuple[Model, RankRequest]]) -> Sequence[_Outcome]:
        """Rank in one run; in one for each model while models are being swapped."""
        models = {id(model): model for model, _ in asked}
        if len(models) == 1:
            return await self._run_one(asked[0][0], [request for _, request in asked])
        outcomes: dict[int, _Outcome] = {}
        for model in models.values():
            places = [place for place, (each, _) in enumerate(asked) if each is model]
            told = await self._run_one(model, [asked[place][1] for place in places])
            outcomes.update(zip(places, told, strict=True))
        return [outcomes[place] for place in range(len(asked))]

    async def _run_one(self, model: Model, requests: list[RankRequest]) -> Sequence[_Outcome]:
        self._metrics.batch(len(requests))
        if model.cost_s < INLINE_BELOW_S:
            return self._ranked(model, requests)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._ranked, model, requests)

    def _ranked(self, model: Model, requests: list[RankRequest]) -> Sequence[_Outcome]:
        """Return each request's ranking, or its own error: it spoils no other of the batch."""
        try:
            started = monotonic()
            batch = model.batch(requests)
            prepared = monotonic()
            rankings = model.rank(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is one request's
            if len(requests) == 1:
                return [error]
            return [self._ranked(model, [request])[0] for request in requests]
        self._metrics.stage(Stage.FEATURES, prepared - started, len(requests))
        self._metrics.stage(Stage.RANK, monotonic() - prepared, len(requests))
        return rankings
