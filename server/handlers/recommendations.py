"""`POST /v1/recommendations`: the items this shopper should see now."""

from time import monotonic

from aiohttp import web

from monitoring.labels import Stage
from server import keys
from server.answer import encode_answer
from server.body import read_body
from server.deadline import Deadline
from server.query import parse_query
from server.response import Response


async def recommend(request: web.Request) -> Response:
    """Answer with a list, before the deadline that began when the request came in."""
    query = parse_query(await read_body(request))
    app = request.app
    started = request[keys.STARTED]
    deadline = Deadline(started + app[keys.SETTINGS].deadline_s)
    answer = await app[keys.RECOMMENDER].recommend(query, deadline)
    request[keys.ANSWER] = answer
    answered = monotonic()
    body = encode_answer(answer, query.user_id, answered - started)
    app[keys.METRICS].stage(Stage.ENCODE, monotonic() - answered)
    return Response(body)
