"""The answer to a request as a value: every byte of it is known, its head leaves with its body.

aiohttp's own response keeps a dictionary of headers for every answer and writes it out again,
which costs more than all else that it does for a request. Most of a head is known beforehand.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import Final, TypeAlias

from aiohttp import web

from server.answer import Answer
from server.tracing.notes import Note

JSON: Final = "application/json"

CLOSE: Final = b"Connection: close\r\n"
KEEP_ALIVE: Final = b"Connection: keep-alive\r\n"

_WHOLE = b"%b%bContent-Length: %d\r\nX-Request-Id: %b\r\n%b\r\n%b"
NO_HEADERS: Mapping[str, str] = {}


class Response:
    """What a handler answers; `answer` is what it holds of a shopper's list, for who counts.

    `notes` say when its stages were, where it is traced.
    What `headers` hold is this program's own: it is written as it is.
    """

    __slots__ = ("answer", "body", "content_type", "ends_connection", "headers", "notes", "status")

    def __init__(
        self,
        body: bytes = b"",
        status: int = 200,
        content_type: str = JSON,
        headers: Mapping[str, str] = NO_HEADERS,
        answer: Answer | None = None,
    ) -> None:
        """Answer with `body`."""
        self.body = body
        self.status = status
        self.content_type = content_type
        self.headers = headers
        self.answer = answer
        self.notes: Sequence[Note] = ()
        self.ends_connection = False

    def encode(self, request_id: str, connection: bytes = b"", *, has_body: bool = True) -> bytes:
        """Return what is sent: `request_id` and the line `connection` are part of the head."""
        further = (
            "".join([f"{name}: {value}\r\n" for name, value in self.headers.items()]).encode()
            if self.headers
            else b""
        )
        return _WHOLE % (
            _known(self.status, self.content_type, int(time())),
            further,
            len(self.body),
            request_id.encode(),
            connection,
            self.body if has_body else b"",
        )


@lru_cache(64)
def _known(status: int, content_type: str, second: int) -> bytes:
    """Return what all answers of this kind begin with in this second."""
    return (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"Date: {formatdate(second, usegmt=True)}\r\nServer: cuvee\r\n"
        f"Content-Type: {content_type}\r\n"
    ).encode()


Handler: TypeAlias = Callable[[web.Request], Awaitable[Response]]
