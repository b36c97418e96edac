"""Answers over a real socket: every byte of head and body, on connections of all kinds."""

import asyncio
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from monitoring.labels import Route
from monitoring.metrics import Metrics
from monitoring.realtime import RealTimeMonitor
from server import keys
from server.access_log import AccessLog
from server.afterwards import Afterwards
from server.response import Response
from server.routed import routed
from server.serving import Serving


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Return the port of a server of our answers."""

    async def answer(request: web.Request) -> Response:
        response = Response(b'{"a":1}', 201, headers={"Allow": "GET"})
        response.ends_connection = "last" in request.query
        return response

    async def large(_: web.Request) -> Response:
        return Response(b"x" * 3_000_000, content_type="text/plain")

    app = web.Application()
    app[keys.METRICS] = Metrics(CollectorRegistry())
    app[keys.MONITOR] = RealTimeMonitor(None)
    app[keys.ACCESS_LOG] = AccessLog(0)
    app[keys.DRAIN] = asyncio.Event()
    app[keys.AFTERWARDS] = Afterwards()
    app[keys.SERVING] = Serving(app)
    app.router.add_route("*", "/", routed(answer, Route.HEALTH))
    app.router.add_get("/large", routed(large, Route.HEALTH))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def exchange(port: int, sent: str) -> tuple[bytes, dict[str, str], bytes]:
    """Return status line, headers and the rest of what comes until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent.replace("\n", "\r\n").encode())
    told = await reader.read()
    writer.close()
    head, _, body = told.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    return status, dict(line.decode().split(": ", 1) for line in lines), body


async def test_head_and_body(port: int) -> None:
    """Status, date, type, length, request id and what else is told; then the body, whole."""
    status, headers, body = await exchange(
        port, "GET /?last HTTP/1.1\nHost: x\nX-Request-Id: abc\n\n"
    )
    assert status == b"HTTP/1.1 201 Created"
    assert parsedate_to_datetime(headers.pop("Date")).year >= 2024
    assert headers == {
        "Server": "cuvee",
        "Content-Type": "application/json",
        "Content-Length": "7",
        "X-Request-Id": "abc",
        "Allow": "GET",
        "Connection": "close",
    }
    assert body == b'{"a":1}'


async def test_a_kept_connection_takes_the_next_request(port: int) -> None:
    """Two requests sent at once are answered in order, and only the last ends the connection."""
    one = "GET / HTTP/1.1\nHost: x\nX-Request-Id: 1\n\n"
    last = "GET /?last HTTP/1.1\nHost: x\nX-Request-Id: 2\n\n"
    _, headers, rest = await exchange(port, one + last)
    assert headers["X-Request-Id"] == "1"
    assert "Connection" not in headers
    assert rest.startswith(b'{"a":1}HTTP/1.1 201 Created\r\n')
    assert b"X-Request-Id: 2\r\n" in rest


@pytest.mark.parametrize(
    ("head", "connection"),
    [
        ("GET / HTTP/1.1\nHost: x\nConnection: close\n\n", "close"),
        ("GET / HTTP/1.0\n\n", "close"),
        ("GET /?last HTTP/1.0\nConnection: keep-alive\n\n", "close"),
    ],
)
async def test_who_wants_the_end_gets_it(port: int, head: str, connection: str) -> None:
    """By header or by version."""
    _, headers, body = await exchange(port, head)
    assert (headers["Connection"], body) == (connection, b'{"a":1}')


async def test_an_old_client_that_stays(port: int) -> None:
    """HTTP/1.0 is told that the connection is kept."""
    stays = "GET / HTTP/1.0\nConnection: keep-alive\n\n"
    _, headers, rest = await exchange(port, stays + "GET / HTTP/1.0\n\n")
    assert headers["Connection"] == "keep-alive"
    assert rest.count(b"HTTP/1.1 201") == 1


async def test_head_has_no_body(port: int) -> None:
    """But says how long it would be."""
    _, headers, body = await exchange(port, "HEAD /?last HTTP/1.1\nHost: x\n\n")
    assert (headers["Content-Length"], body) == ("7", b"")


async def test_a_slow_reader_gets_it_all(port: int) -> None:
    """More than a socket takes at once, read late."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    await asyncio.sleep(0.1)
    told = await reader.read()
    writer.close()
    assert told.endswith(b"x" * 3_000_000)


async def test_a_client_that_left_harms_nobody(port: int) -> None:
    """The next one is answered."""
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        writer.transport.abort()
    status, _, _ = await exchange(port, "GET /?last HTTP/1.1\nHost: x\n\n")
    assert status == b"HTTP/1.1 201 Created"
