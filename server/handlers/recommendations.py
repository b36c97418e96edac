"""`POST /v1/recommendations`: the items this shopper should see now."""

from time import monotonic

from aiohttp import web

from monitoring.labels import Stage
from monitoring.metrics import Metrics
from server import keys
from server.answer import encode_answer
from server.body import read_body
from server.deadline import Deadline
from server.query import parse_query
from server.recommender import Recommender
from server.response import Response


class Recommend:
    """Answers bodies, whichever way they came in."""

    def __init__(self, recommender: Recommender, metrics: Metrics, deadline_s: float) -> None:
        """Answer within `deadline_s` with what `recommender` says."""
        self._recommender = recommender
        self._metrics = metrics
        self._deadline_s = deadline_s

    async def __call__(self, body: bytes, started: float, waited_s: float = 0.0) -> Response:
        """Answer with a list, in time for a request that `started` and waited for its turn."""
        deadline = Deadline.of(started, waited_s, self._deadline_s)
        query = parse_query(body)
        answer = await self._recommender.recommend(query, deadline)
        answered = monotonic()
        told = encode_answer(answer, query.user_id, answered - started)
        self._metrics.stage(Stage.ENCODE, monotonic() - answered)
        return Response(told, answer=answer)


async def recommend(request: web.Request) -> Response:
    """Answer a request that aiohttp read."""
    body = await read_body(request)
    return await request.app[keys.RECOMMEND](body, request[keys.STARTED])
