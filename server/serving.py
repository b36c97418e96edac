"""Around every answer: errors as problem documents, and what is counted and logged.

lane    ─ a plain request for a list ─ begin … end ─┐
aiohttp ─ any other request ─ handler ──── respond ─┴─ Response
"""

import logging
from collections.abc import Awaitable, Mapping
from time import monotonic
from typing import Final, NamedTuple

from aiohttp import web

from monitoring.labels import ErrorKind, Route
from server import keys
from server.errors import ServiceError, problem, problem_response
from server.new_id import new_id
from server.response import Response

log = logging.getLogger(__name__)

REQUEST_ID_HEADER: Final = "X-Request-Id"
_MAX_REQUEST_ID = 128


class Asked(NamedTuple):
    """A request as it is counted; `started` is when it was here, `what` method and path.

    `pattern` is the path as its route declares it. `parent` has the headers of a trace that the
    request is part of, as far as they came.
    """

    route: Route
    started: float
    request_id: str
    what: str
    pattern: str = ""
    parent: Mapping[str, str] | None = None


class Serving:
    """Answers requests of an application, whatever happens inside."""

    def __init__(self, app: web.Application) -> None:
        """Count in the application's metrics, monitor and log."""
        self._metrics = app[keys.METRICS]
        self._monitor = app[keys.MONITOR]
        self._access_log = app[keys.ACCESS_LOG]
        self._drain = app[keys.DRAIN]
        self._after = app[keys.AFTERWARDS]
        self.spans = app.get(keys.SPANS)
        """What answers are traced with, None where they are not."""

        self.begin = self._metrics.inflight_inc
        """Count a request as under way."""

    async def respond(self, asked: Asked, answering: Awaitable[Response]) -> Response:
        """Return what `answering` does, a problem document where it raises."""
        self.begin()
        try:
            outcome: Response | Exception = await answering
        except Exception as error:  # noqa: BLE001 - told apart there
            outcome = error
        except BaseException:
            self._metrics.inflight_dec()
            raise
        return self.end(asked, outcome)

    def end(self, asked: Asked, outcome: Response | Exception) -> Response:
        """Return the answer to a request that began: what came out, or a problem document.

        It is counted once it has left.
        """
        self._metrics.inflight_dec()
        response = self._refused(outcome, asked) if isinstance(outcome, Exception) else outcome
        if self._drain.is_set():
            response.ends_connection = True  # the next request should go to another process
        self._after.do(self._count, asked, response, monotonic() - asked.started)
        return response

    def gone(self) -> None:
        """Count a request whose client hung up before its answer."""
        self._metrics.client_gone()

    def _count(self, asked: Asked, response: Response, seconds: float) -> None:
        route, request_id = asked.route, asked.request_id
        status, answer = response.status, response.answer
        self._metrics.request(route, answer and answer.source, status, seconds)
        trace_id = None if self.spans is None else self.spans.tell(asked, response, seconds)
        self._access_log.note(route, status, seconds, request_id, answer, trace_id)
        if route is Route.RECOMMENDATIONS:
            if answer is not None:
                self._metrics.page(answer.page, answer.source, seconds)
            self._monitor.record(
                seconds,
                source=answer and answer.source,
                fallback=answer is not None and answer.reason is not None,
                error=status >= web.HTTPInternalServerError.status_code,
                request_id=request_id,
            )

    def _refused(self, error: Exception, asked: Asked) -> Response:
        request_id, what = asked.request_id, asked.what
        if isinstance(error, ServiceError):
            return problem_response(error, request_id)
        if isinstance(error, web.HTTPException):
            detail = f"{what}: {error.reason}, see /docs"
            return problem(error.status, error.reason, detail, request_id)
        log.error("request %s to %s failed", request_id, what, exc_info=error)
        self._metrics.error(ErrorKind.INTERNAL)
        detail = "an error inside the service; the request id finds it in the log"
        return problem(500, "Internal error", detail, request_id)


def checked_id(told: str | None) -> str:
    """Return the client's id if it is short and printable ASCII, else a new one."""
    if told and len(told) <= _MAX_REQUEST_ID and told.isascii() and told.isprintable():
        return told
    return new_id()
