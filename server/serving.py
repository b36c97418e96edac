"""Around every handler: request ids, errors as problem documents, and what is counted.

Each route's handler is wrapped once, with its label: aiohttp would look for middlewares, and we
for the label, at every request.
"""

import logging
from time import monotonic
from typing import Final

from aiohttp import web

from monitoring.labels import ErrorKind, Route, Source
from server import keys
from server.errors import ServiceError, problem, problem_response
from server.new_id import new_id
from server.response import Handler, Response

log = logging.getLogger(__name__)

REQUEST_ID_HEADER: Final = "X-Request-Id"
_MAX_REQUEST_ID = 128


def serving(handler: Handler, route: Route, app: web.Application) -> Handler:
    """Return what answers a request of `app` with `handler`, whatever happens inside."""
    metrics, drain, access_log = app[keys.METRICS], app[keys.DRAIN], app[keys.ACCESS_LOG]

    async def serve(request: web.Request) -> Response:
        started = request[keys.STARTED] = monotonic()
        request_id = request_id_of(request)
        metrics.inflight_inc()
        try:
            response = await handler(request)
        except Exception as error:  # noqa: BLE001 - told apart there
            response = _refused(error, request, request_id)
        finally:
            metrics.inflight_dec()
        response.request_id = request_id
        if drain.is_set():
            response.force_close()  # the client's next request should go to another process
        seconds = monotonic() - started
        answer = request.get(keys.ANSWER)
        metrics.request(route, answer and answer.source, response.status, seconds)
        access_log.note(route, response.status, seconds, request_id, answer)
        if request.transport is None or request.transport.is_closing():
            metrics.client_gone()
        if route is Route.RECOMMENDATIONS:
            app[keys.MONITOR].record(
                seconds,
                cache_hit=answer is not None and answer.source is Source.CACHE,
                fallback=answer is not None and answer.reason is not None,
                error=response.status >= web.HTTPInternalServerError.status_code,
                request_id=request_id,
            )
        return response

    return serve


def request_id_of(request: web.Request) -> str:
    """Return the client's id if it is short and printable ASCII, else a new one."""
    told = request.headers.get(REQUEST_ID_HEADER)
    if told and len(told) <= _MAX_REQUEST_ID and told.isascii() and told.isprintable():
        return told
    return new_id()


def _refused(error: Exception, request: web.Request, request_id: str) -> Response:
    if isinstance(error, ServiceError):
        return problem_response(error, request_id)
    if isinstance(error, web.HTTPException):
        detail = f"{request.method} {request.path[:200]}: {error.reason}, see /docs"
        return problem(error.status, error.reason, detail, request_id)
    log.error("request %s to %s failed", request_id, request.path[:200], exc_info=error)
    request.app[keys.METRICS].error(ErrorKind.INTERNAL)
    detail = "an error inside the service; the request id finds it in the log"
    return problem(500, "Internal error", detail, request_id)
