"""The request that most connections send: one for a list, whole, with nothing unusual about it.

    POST /v1/recommendations HTTP/1.1
    Content-Length, perhaps Content-Type: application/json, X-Request-Id, what does not matter here

Whatever differs (another route or version, a body in chunks or encoded, the wish to close, a head
that is no HTTP) is aiohttp's to read, and to refuse.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import httptools

from server.body import MAX_BODY
from server.response import JSON

PATH: Final = "/v1/recommendations"
MAX_HEAD: Final = 16 * 1024
TRACE_HEADERS: Final = ("traceparent", "tracestate")

_BEGINS = f"POST {PATH} HTTP/1.1\r\n".encode()
_ENDS = b"\r\n\r\n"
_JSON = JSON.encode()
_JSONS = frozenset((_JSON, _JSON + b"; charset=utf-8", _JSON + b";charset=utf-8"))
_KEEP_ALIVE = b"keep-alive"
_UNUSUAL = frozenset((b"content-encoding", b"expect", b"transfer-encoding", b"upgrade"))
_ONCE = frozenset(
    (
        b"connection",
        b"content-length",
        b"content-type",
        b"host",
        b"user-agent",
        b"x-request-id",
    )
)
_MOST_DIGITS = 9


class UnusualError(Exception):
    """What came is not a plain request for a list."""


class Head(NamedTuple):
    """What a head says: the id that the client gave the request, and how long its body is.

    `parent` has the headers of the trace that it is part of.
    """

    raw: bytes
    request_id: str | None
    length: int
    parent: Mapping[str, str] | None = None


def plain_head(data: bytes, last: Head | None = None) -> Head | None:
    """Return the head that `data` begins with, None while not all of it is there.

    Clients send one head again and again: the `last` one of this connection is known where it
    stands. Raises `UnusualError` as soon as it is seen to be of another kind of request.
    """
    if last is not None and data.startswith(last.raw):
        return last
    if not data.startswith(_BEGINS):
        if _BEGINS.startswith(data):
            return None
        raise UnusualError
    end = data.find(_ENDS, 0, MAX_HEAD)
    if end < 0:
        if len(data) > MAX_HEAD:
            raise UnusualError
        return None
    raw = data[: end + len(_ENDS)]
    headers = _headers(raw)
    told = headers.get(b"x-request-id")
    request_id = None if told is None else told.decode("latin-1")
    return Head(raw, request_id, _length(headers), _parent(headers))


def _headers(data: bytes) -> dict[bytes, bytes]:
    """Return the headers, by names in lower case, of a head that is as most are."""
    head = _Headers()
    try:
        httptools.HttpRequestParser(head).feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        raise UnusualError from None
    headers = head.told
    if (
        b"host" not in headers
        or headers.get(b"connection", _KEEP_ALIVE).lower() != _KEEP_ALIVE
        or headers.get(b"content-type", _JSON).lower() not in _JSONS
        or not _UNUSUAL.isdisjoint(headers)
    ):
        raise UnusualError
    return headers


class _Headers:
    """What httptools tells of a head."""

    __slots__ = ("told",)

    def __init__(self) -> None:
        self.told: dict[bytes, bytes] = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in self.told:
            if name in _ONCE:
                raise UnusualError
            value = self.told[name] + b"," + value
        self.told[name] = value


def _parent(headers: dict[bytes, bytes]) -> dict[str, str] | None:
    """Return the headers of a trace, as W3C names them, None where there are none."""
    if b"traceparent" not in headers:
        return None
    told = {name: headers.get(name.encode(), b"").decode("latin-1") for name in TRACE_HEADERS}
    return {name: value for name, value in told.items() if value}


def _length(headers: dict[bytes, bytes]) -> int:
    """Return how long the body is, at most `MAX_BODY`, if it is announced as it should be."""
    length = headers.get(b"content-length", b"")
    if not length.isdigit() or len(length) > _MOST_DIGITS or int(length) > MAX_BODY:
        raise UnusualError
    return int(length)
