"""One HTTP exchange over a connection of its own, bounded in time and size; nothing is followed.

A server that hangs, or drips a byte now and then, costs no thread and no more than its time.
"""

import asyncio
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import httptools

from monitoring.response.errors import ExchangeError

MOST_BYTES = 8 * 2**20
_CHUNK = 65_536
_PORTS = {"http": 80, "https": 443}


class _Answer:
    """What httptools tells of an answer."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.is_whole = False
        self.ends_with_connection = False
        self._is_measured = False

    def on_header(self, name: bytes, value: bytes) -> None:
        named = name.lower()
        is_chunked = named == b"transfer-encoding" and b"chunked" in value.lower()
        self._is_measured |= named == b"content-length" or is_chunked

    def on_headers_complete(self) -> None:
        self.ends_with_connection = not self._is_measured

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        self.is_whole = True


async def exchange(
    url: str,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    within_s: float,
) -> tuple[int, bytes]:
    """Return status and body of what a server answers to GET, or to POST where there is content.

    Raises `ExchangeError` where there is no answer in time, or one that is no HTTP.
    """
    try:
        async with asyncio.timeout(within_s):
            return await _exchanged(url, content, headers or {})
    except TimeoutError:
        raise ExchangeError(f"no answer within {within_s:g} s") from None
    except (OSError, UnicodeError, ValueError) as error:
        raise ExchangeError(str(error) or type(error).__name__) from error
    except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
        raise ExchangeError(f"no HTTP: {error}") from None


async def _exchanged(
    url: str, content: bytes | None, headers: Mapping[str, str]
) -> tuple[int, bytes]:
    parts = urlsplit(url)
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or _PORTS[parts.scheme]
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=secure)
    try:
        writer.write(_request(url, content, headers))
        await writer.drain()
        return await _answered(reader)
    finally:
        writer.transport.abort()


def _request(url: str, content: bytes | None, headers: Mapping[str, str]) -> bytes:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2]
    told = {"Host": host, "Connection": "close", "User-Agent": "cuvee", **headers}
    if content is not None:
        told["Content-Length"] = str(len(content))
    lines = [f"{'GET' if content is None else 'POST'} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in told.items()]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + (content or b"")


async def _answered(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    while not answer.is_whole:
        part = await reader.read(_CHUNK)
        if not part:
            break
        parser.feed_data(part)
        if len(answer.body) > MOST_BYTES:
            raise ExchangeError(f"the answer is longer than {MOST_BYTES} bytes")
    status = parser.get_status_code()
    if not status:
        raise ExchangeError("the connection was closed without an answer")
    if not (answer.is_whole or answer.ends_with_connection):
        raise ExchangeError("the answer was cut short")
    return status, bytes(answer.body)
