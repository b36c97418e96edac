"""`POST /v1/recommendations`: the items this shopper should see now."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic

from aiohttp import web

from features.futures import settle
from models.rules.declared import Page
from monitoring.labels import Stage
from monitoring.metrics import Metrics
from server import keys
from server.afterwards import Afterwards
from server.answer import Answer, encode_answer
from server.body import read_body
from server.climb import climb
from server.deadline import deadline_of
from server.ladder import Ladder
from server.list_log import ListLog
from server.query import Query, parse_query
from server.response import Response
from server.trial import Trial

log = logging.getLogger(__name__)

Then = Callable[[Response | Exception], None]


class Recommend:
    """Answers bodies, whichever way they came in."""

    def __init__(
        self,
        ladder: Ladder,
        metrics: Metrics,
        deadline_s: float,
        lengths: Mapping[Page, int],
        lists: ListLog,
        after: Afterwards,
    ) -> None:
        """Answer within `deadline_s` with what `ladder` gives; `lengths` are those of pages.

        What was answered is noted in `lists`, `after` it was.
        """
        self._ladder = ladder
        self._metrics = metrics
        self._deadline_s = deadline_s
        self._lengths = lengths
        self._note = lists.note
        self._after = after

    def begin(self, body: bytes, started: float, waited_s: float, then: Then) -> None:
        """Call `then` once with a list in time for a request that `started` and `waited_s`.

        Or with why there is none.
        """
        try:
            deadline = deadline_of(started, waited_s, self._deadline_s)
            query = parse_query(body, lengths=self._lengths)
            answered = partial(self._answered, query, started, then)
            climb(self._ladder, query, deadline, answered)
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            then(error)

    async def __call__(self, body: bytes, started: float) -> Response:
        """Return the list for a request that did not wait for its turn."""
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self.begin(body, started, 0.0, partial(settle, future))
        return await future

    def _answered(
        self, query: Query, started: float, then: Then, outcome: Answer | Exception
    ) -> None:
        told: Response | Exception
        if (trial := self._ladder.models.trial) is not None:
            try:
                trial.count(query.user_id, monotonic() - started, outcome)
            except Exception:  # whoever asked waits
                log.exception("an answer was not counted for the model on trial")
        if isinstance(outcome, Exception):
            told = outcome
        else:
            try:
                told = self._written(outcome, query, started, trial)
            except Exception as error:  # noqa: BLE001 - whoever asked is told
                told = error
        then(told)

    def _written(
        self, answer: Answer, query: Query, started: float, trial: Trial | None
    ) -> Response:
        answered = monotonic()
        told = encode_answer(answer, query.user_id, answered - started)
        self._metrics.stage(Stage.ENCODE, monotonic() - answered)
        self._after.do(self._note, told, answer, query.user_id, query.cursor, trial)
        return Response(told, answer=answer)


async def recommend(request: web.Request) -> Response:
    """Answer a request that aiohttp read."""
    body = await read_body(request)
    return await request.app[keys.RECOMMEND](body, request[keys.STARTED])
