"""Running the model: all of one loop turn at once, on the loop or beside it.

A cheap model runs inline: most of its time is Python, and a thread would fight the loop for the
interpreter. A dear one runs in a single thread, where its native code lets the loop go on.
Which one it is was measured when the model was warmed.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from models.model import Model
from models.request import RankedItem, RankRequest
from monitoring.metrics import Metrics
from server.coalescer import Coalescer

INLINE_BELOW_S = 2e-3
"""A shopper's share of a run, in seconds, up to which the loop does it itself."""

_MAX_BATCH = 16
_MAX_WAITING = 512

Ranked = list[RankedItem] | None


class Inference:
    """Ranks for shoppers, sharing runs between those that came together."""

    def __init__(self, metrics: Metrics) -> None:
        """Start no thread before one is needed."""
        self._metrics = metrics
        self._thread = ThreadPoolExecutor(1, "inference")
        self._runs: Coalescer[tuple[Model, RankRequest], Ranked] = Coalescer(
            self._run, max_batch=_MAX_BATCH, max_running=1, max_waiting=_MAX_WAITING
        )

    async def rank(self, model: Model, request: RankRequest, deadline: float) -> Ranked:
        """Return the ranked items, or None where there is nothing to rank by.

        Raises what `Coalescer.submit` does, or what the model raised for this request.
        """
        return await self._runs.submit((model, request), deadline)

    async def close(self) -> None:
        """Let the run under way end."""
        await self._runs.close()
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _run(
        self, asked: Sequence[tuple[Model, RankRequest]]
    ) -> Sequence[Ranked | Exception]:
        """Rank in one run; in one for each model while models are being swapped."""
        answers: list[Ranked | Exception] = [None] * len(asked)
        for model in {id(model): model for model, _ in asked}.values():
            places = [place for place, (each, _) in enumerate(asked) if each is model]
            ranked = await self._run_one(model, [asked[place][1] for place in places])
            for place, items in zip(places, ranked, strict=True):
                answers[place] = items
        return answers

    async def _run_one(
        self, model: Model, requests: list[RankRequest]
    ) -> Sequence[Ranked | Exception]:
        self._metrics.batch(len(requests))
        if model.cost_s < INLINE_BELOW_S:
            return model.rank(requests)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, model.rank, requests)
