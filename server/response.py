"""The answer to a request, whole: its head is put together here and leaves with the body.

aiohttp's own response keeps a dictionary of headers for every answer and writes it out again,
which costs more than all else that it does for a request. Most of a head is known beforehand.
"""

from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import Final, TypeAlias

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

JSON: Final = "application/json"

_WHOLE = b"%bContent-Length: %d\r\nX-Request-Id: %b\r\n%b\r\n%b"
NO_HEADERS: Mapping[str, str] = {}


class Response(web.StreamResponse):
    """An answer of which every byte is known; it is written at once.

    `request_id` goes out as `X-Request-Id`. What `headers` hold is this program's own: it is
    written as it is.
    """

    def __init__(
        self,
        body: bytes = b"",
        status: int = 200,
        content_type: str = JSON,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        """Answer with `body`."""
        super().__init__(status=status)
        self.request_id = ""
        self._content = body
        self._type = content_type
        self._further = headers
        self._stays = True

    @property
    def keep_alive(self) -> bool:
        """Tell whether the connection is kept for another request."""
        return self._stays

    def force_close(self) -> None:
        """Let the connection end with this answer."""
        self._stays = False

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write head and body; raise `ConnectionError` where the client has gone."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        self._stays = self._stays and request.keep_alive
        transport.write(
            _WHOLE
            % (
                _known(self.status, self._type, int(time())),
                len(self._content),
                self.request_id.encode(),
                self._more(request),
                b"" if request.method == "HEAD" else self._content,
            )
        )
        await request.writer.drain()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Add nothing: `prepare` wrote it all."""

    def _more(self, request: web.BaseRequest) -> bytes:
        lines = "".join(f"{name}: {value}\r\n" for name, value in self._further.items())
        if not self._stays:
            lines += "Connection: close\r\n"
        elif request.version < HttpVersion11:
            lines += "Connection: keep-alive\r\n"
        return lines.encode()


@lru_cache(64)
def _known(status: int, content_type: str, second: int) -> bytes:
    """Return what all answers of this kind begin with in this second."""
    return (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"Date: {formatdate(second, usegmt=True)}\r\nServer: cuvee\r\n"
        f"Content-Type: {content_type}\r\n"
    ).encode()


Handler: TypeAlias = Callable[[web.Request], Awaitable[Response]]
