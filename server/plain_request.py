"""The request that most connections send: one for a list, whole, with nothing unusual about it.

    POST /v1/recommendations HTTP/1.1
    Content-Length, perhaps Content-Type: application/json, X-Request-Id, what does not matter here

Whatever differs (another route or version, a body in chunks or encoded, the wish to close, a head
that is no HTTP) is aiohttp's to read, and to refuse.
"""

from typing import Final, NamedTuple

import httptools

from server.body import MAX_BODY
from server.response import JSON

PATH: Final = "/v1/recommendations"
MAX_HEAD: Final = 16 * 1024

_BEGINS = f"POST {PATH} HTTP/1.1\r\n".encode()
_ENDS = b"\r\n\r\n"
_JSON = JSON.encode()
_UNUSUAL = frozenset(
    (b"connection", b"content-encoding", b"expect", b"transfer-encoding", b"upgrade")
)
_ONCE = frozenset((b"content-length", b"content-type", b"host", b"user-agent", b"x-request-id"))
_USUAL_CONNECTION = b"keep-alive"
_MOST_DIGITS = 9


class UnusualError(Exception):
    """What came is not a plain request for a list."""


class PlainRequest(NamedTuple):
    """A request's body, the id that the client gave it, and how many bytes it took."""

    body: bytes
    request_id: str | None
    size: int


def plain_request(data: bytes) -> PlainRequest | None:
    """Return the request that `data` begins with, None while not all of it is there.

    Raises `UnusualError` as soon as it is seen to be another.
    """
    if not data.startswith(_BEGINS):
        if _BEGINS.startswith(data):
            return None
        raise UnusualError
    end = data.find(_ENDS) + len(_ENDS)
    if max(end, len(data) if end < len(_ENDS) else 0) > MAX_HEAD:
        raise UnusualError
    if end < len(_ENDS):
        return None
    headers = _headers(data[:end])
    whole = end + _length(headers)
    if len(data) < whole:
        return None
    told = headers.get(b"x-request-id")
    return PlainRequest(data[end:whole], None if told is None else told.decode("latin-1"), whole)


def _headers(head: bytes) -> dict[bytes, bytes]:
    told = _Head()
    try:
        httptools.HttpRequestParser(told).feed_data(head)
    except httptools.HttpParserError:
        raise UnusualError from None
    return told.headers


class _Head:
    """What httptools tells of a head."""

    __slots__ = ("headers",)

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in _UNUSUAL and not (name == b"connection" and value.lower() == _USUAL_CONNECTION):
            raise UnusualError
        if name in self.headers and name in _ONCE:
            raise UnusualError
        self.headers[name] = value


def _length(headers: dict[bytes, bytes]) -> int:
    """Return how long the body is, at most `MAX_BODY`, if it is announced as it should be."""
    if b"host" not in headers:
        raise UnusualError
    length = headers.get(b"content-length", b"")
    if (
        not length.isdigit()
        or len(length) > _MOST_DIGITS
        or headers.get(b"content-type", _JSON) != _JSON
    ):
        raise UnusualError
    if (size := int(length)) > MAX_BODY:
        raise UnusualError
    return size
