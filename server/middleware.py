"""The one middleware: request ids, errors as problem documents, and what is counted."""

import logging
from time import monotonic
from typing import Final
from uuid import uuid4

from aiohttp import web
from aiohttp.typedefs import Handler

from monitoring.labels import ErrorKind, Route, Source
from monitoring.metrics import Metrics
from server import keys
from server.errors import ServiceError, problem, problem_response
from server.routes import label_of

log = logging.getLogger(__name__)

REQUEST_ID_HEADER: Final = "X-Request-Id"
_MAX_REQUEST_ID = 128


@web.middleware
async def serve(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer `request`, whatever happens inside, and count it."""
    metrics = request.app[keys.METRICS]
    request[keys.STARTED] = monotonic()
    request[keys.REQUEST_ID] = request_id_of(request)
    metrics.inflight_inc()
    try:
        response = await _respond(request, handler)
    finally:
        metrics.inflight_dec()
    response.headers[REQUEST_ID_HEADER] = request[keys.REQUEST_ID]
    if request.app[keys.DRAIN].is_set():
        response.force_close()  # the client's next request should go to another process
    _count(request, metrics, response.status, monotonic() - request[keys.STARTED])
    return response


def request_id_of(request: web.Request) -> str:
    """Return the client's id if it is short and printable ASCII, else a new one."""
    told = request.headers.get(REQUEST_ID_HEADER, "")
    if 0 < len(told) <= _MAX_REQUEST_ID and told.isascii() and told.isprintable():
        return told
    return uuid4().hex


async def _respond(request: web.Request, handler: Handler) -> web.StreamResponse:
    request_id = request[keys.REQUEST_ID]
    try:
        return await handler(request)
    except ServiceError as error:
        return problem_response(error, request_id)
    except web.HTTPException as error:
        if error.status < web.HTTPBadRequest.status_code:
            return error
        allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        detail = f"{request.method} {request.path[:200]}: {error.reason}, see /docs"
        return problem(error.status, error.reason, detail, request_id, headers=allowed)
    except Exception:
        log.exception("request %s to %s failed", request_id, request.path[:200])
        request.app[keys.METRICS].error(ErrorKind.INTERNAL)
        detail = "an error inside the service; the request id finds it in the log"
        return problem(500, "Internal error", detail, request_id)


def _count(request: web.Request, metrics: Metrics, status: int, seconds: float) -> None:
    route = label_of(request)
    answer = request.get(keys.ANSWER)
    metrics.request(route, answer and answer.source, status, seconds)
    if request.transport is None or request.transport.is_closing():
        metrics.client_gone()
    if route is Route.RECOMMENDATIONS:
        request.app[keys.MONITOR].record(
            seconds,
            cache_hit=answer is not None and answer.source is Source.CACHE,
            fallback=answer is not None and answer.reason is not None,
            error=status >= web.HTTPInternalServerError.status_code,
            request_id=request[keys.REQUEST_ID],
        )
