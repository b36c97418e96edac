"""What aiohttp calls for a route: the handler with all that surrounds it, and its answer written.

Each route's handler is wrapped once, with its label: aiohttp would look for middlewares, and we
for the label, at every request.
"""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeAlias

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from monitoring.labels import Route
from server import keys
from server.plain_request import TRACE_HEADERS
from server.response import CLOSE, KEEP_ALIVE, Handler, Response
from server.serving import REQUEST_ID_HEADER, Asked, checked_id

Routed: TypeAlias = Callable[[web.Request], Awaitable["Written"]]


def routed(handler: Handler, route: Route, pattern: str = "") -> Routed:
    """Return what answers requests for paths of a `pattern` with `handler`, whatever happens."""

    async def answer(request: web.Request) -> Written:
        request[keys.STARTED] = started = monotonic()
        told = checked_id(request.headers.get(REQUEST_ID_HEADER))
        serving = request.app[keys.SERVING]
        parent = None if serving.spans is None else _parent(request)
        what = f"{request.method} {request.path[:200]}"
        asked = Asked(route, started, told, what, pattern, parent)
        response = await serving.respond(asked, handler(request))
        if request.transport is None or request.transport.is_closing():
            serving.gone()
        return Written(response, told)

    return answer


def _parent(request: web.Request) -> dict[str, str]:
    """Return the headers of the trace that a request is part of, as far as they came."""
    told = {name: ",".join(request.headers.getall(name, ())) for name in TRACE_HEADERS}
    return {name: value for name, value in told.items() if value}


class Written(web.StreamResponse):
    """A `Response` as aiohttp sends it: at once."""

    def __init__(self, response: Response, told: str) -> None:
        """Send `response`, `told` as the request's id."""
        super().__init__(status=response.status)
        self._response = response
        self._told = told
        self._stays = not response.ends_connection

    @property
    def keep_alive(self) -> bool:
        """Tell whether the connection is kept for another request."""
        return self._stays

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write head and body; raise `ConnectionError` where the client has gone."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        self._stays = self._stays and request.keep_alive
        transport.write(
            self._response.encode(
                self._told, self._connection(request), has_body=request.method != "HEAD"
            )
        )
        await request.writer.drain()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Add nothing: `prepare` wrote it all."""

    def _connection(self, request: web.BaseRequest) -> bytes:
        if not self._stays:
            return CLOSE
        return KEEP_ALIVE if request.version < HttpVersion11 else b""
