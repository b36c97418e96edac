"""What the histories of shoppers say whom nothing is ranked for: all of one loop turn at once."""

from collections.abc import Callable, Sequence

from models.model import Model
from models.request import Ranking, RankRequest
from server.by_model import by_model
from server.coalescer import Coalescer

_MAX_BATCH = 32
_MAX_WAITING = 512

_Outcome = Ranking | Exception


class Histories:
    """Looks at histories on the loop, in one run for those that were read together."""

    def __init__(self) -> None:
        """Look at nothing yet."""
        self._runs: Coalescer[tuple[Model, RankRequest], Ranking] = Coalescer(
            _run, max_batch=_MAX_BATCH, max_running=1, max_waiting=_MAX_WAITING
        )

    def look(
        self,
        model: Model,
        request: RankRequest,
        deadline: float,
        then: Callable[[_Outcome], None],
    ) -> None:
        """Call `then` with a ranking without items, or with why there is none.

        That is what was wrong with this history, or an error of `Coalescer.submit`.
        """
        self._runs.submit((model, request), deadline, then)

    async def close(self) -> None:
        """Let the run under way end."""
        await self._runs.close()


async def _run(asked: Sequence[tuple[Model, RankRequest]]) -> Sequence[_Outcome]:
    """Look in one run for each model: while one is on trial there are two."""
    outcomes: dict[int, _Outcome] = {}
    for model, places, requests in by_model(asked):
        outcomes.update(zip(places, _looked(model, requests), strict=True))
    return [outcomes[place] for place in range(len(asked))]


def _looked(model: Model, requests: list[RankRequest]) -> Sequence[_Outcome]:
    """Return what is told of each request, or its own error: it spoils no other of the run."""
    try:
        return model.shoppers(model.batch(requests))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is one request's
        if len(requests) == 1:
            return [error]
        return [_looked(model, [request])[0] for request in requests]
