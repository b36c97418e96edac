"""Connections as they come: a lane answers what is plain, aiohttp the rest, and nobody notices."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Self

import orjson
import pytest

from features.online.store import NullStore, ShopperQuery, ShopperRead
from monitoring.labels import Route, Source
from server import door as door_module
from server import keys
from server.lane import MOST_AHEAD
from server.response import Response
from tests.support.service import Client, Start

PATH = "POST /v1/recommendations HTTP/1.1\r\nHost: shop\r\n"
CLOSE = "Connection: close\r\n"

Told = tuple[str, dict[str, str], bytes]


def request(body: str = '{"user_id":"nobody","k":3}', more: str = "") -> bytes:
    """Return a request for a list."""
    return f"{PATH}Content-Length: {len(body)}\r\n{more}\r\n{body}".encode()


async def read_answer(reader: asyncio.StreamReader) -> Told:
    """Return status, headers and body of the next answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    return head[0], headers, await reader.readexactly(int(headers["Content-Length"]))


class Connection:
    """A connection to the service, for bytes."""

    def __init__(self, service: Client) -> None:
        """Connect when entered."""
        self._port = service.port

    async def __aenter__(self) -> Self:
        """Connect."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hang up."""
        self.writer.close()

    async def ask(self, data: bytes) -> Told:
        """Send bytes and return an answer."""
        self.writer.write(data)
        return await read_answer(self.reader)

    async def ended(self) -> bool:
        """Tell whether the other side ended the connection, within a while."""
        return await asyncio.wait_for(self.reader.read(), 20) == b""


@pytest.fixture
def connect(service: Client) -> Callable[[], Connection]:
    """Return a function that connects to the service."""
    return lambda: Connection(service)


Connect = Callable[[], Connection]


def lanes(service: Client) -> int:
    """Return how many connections are lanes now."""
    return len(service.server.door.lanes)  # type: ignore[attr-defined]


async def test_a_connection_stays_a_lane(service: Client, connect: Connect) -> None:
    """Plain requests, right or wrong in what they say, are answered one after the other."""
    async with connect() as connection:
        for body, status in (
            ('{"user_id":"u"}', 200),
            ('{"user_id":7}', 422),
            ("{", 400),
            ('{"user_id":"u"}', 200),
        ):
            line, headers, _ = await connection.ask(request(body, "X-Request-Id: mine\r\n"))
            assert line.split()[1] == str(status)
            assert headers["X-Request-Id"] == "mine"
            assert "Connection" not in headers
            assert lanes(service) == 1


async def test_in_pieces(connect: Connect) -> None:
    """However the network cuts it."""
    async with connect() as connection:
        for byte in request():
            connection.writer.write(bytes([byte]))
            await connection.writer.drain()
            await asyncio.sleep(0)
        line, _, body = await read_answer(connection.reader)
        assert line.split()[1] == "200"
        assert len(orjson.loads(body)["items"]) == 3


async def test_sent_ahead(connect: Connect) -> None:
    """Requests that do not wait for answers get them in order."""
    async with connect() as connection:
        connection.writer.write(
            b"".join(request(more=f"X-Request-Id: {number}\r\n") for number in range(50))
        )
        for number in range(50):
            line, headers, _ = await read_answer(connection.reader)
            assert (line.split()[1], headers["X-Request-Id"]) == ("200", str(number))


async def test_far_ahead(connect: Connect) -> None:
    """A client that sends more than it may ahead waits a while, and loses nothing."""
    body = '{"user_id":"nobody","k":1,"exclude":["%s"]}' % ("x" * 100)
    ahead = 2 * MOST_AHEAD // len(body)
    async with connect() as connection:
        connection.writer.write(request(body) * ahead)
        for _ in range(ahead):
            line, _, _ = await read_answer(connection.reader)
            assert line.split()[1] == "200"


async def test_far_ahead_and_then_another(service: Client, connect: Connect) -> None:
    """Reading goes on where the lane had stopped."""
    healthy = b"GET /healthz HTTP/1.1\r\nHost: shop\r\n\r\n"
    ahead = 2 * MOST_AHEAD // len(healthy)
    async with connect() as connection:
        connection.writer.write(request() + healthy * ahead)
        for _ in range(1 + ahead):
            line, _, _ = await read_answer(connection.reader)
            assert line.split()[1] == "200"
    assert lanes(service) == 0


async def test_the_first_other_request_makes_it_aiohttps(service: Client, connect: Connect) -> None:
    """In the same packet even, and what follows is answered as before."""
    async with connect() as connection:
        healthy = b"GET /healthz HTTP/1.1\r\nHost: shop\r\n\r\n"
        connection.writer.write(request() + healthy + request())
        told = [await read_answer(connection.reader) for _ in range(3)]
        assert [line.split()[1] for line, _, _ in told] == ["200"] * 3
        assert told[1][2] == b'{"status":"ok"}'
        assert lanes(service) == 0


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request(more=CLOSE), 200),
        (request().replace(b"HTTP/1.1", b"HTTP/1.0"), 200),
        (request(more="Content-Type: application/json; charset=utf-8\r\n" + CLOSE), 200),
        (request(more="Content-Type: text/plain\r\n" + CLOSE), 415),
        (request(more="Content-Encoding: gzip\r\n" + CLOSE), 400),
        (request("x" * 70_000, CLOSE), 413),
        (request(more="No header\r\n"), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (
            f"{PATH}{CLOSE}Transfer-Encoding: chunked\r\n\r\n"
            '10\r\n{"user_id":"u1"}\r\n0\r\n\r\n'.encode(),
            200,
        ),
    ],
)
async def test_unusual(connect: Connect, data: bytes, status: int) -> None:
    """What only aiohttp reads is answered as it always was, and then the connection ends."""
    async with connect() as connection:
        line, _, _ = await connection.ask(data)
        assert line.split()[1] == str(status)
        assert await connection.ended()


async def test_expecting_to_be_asked_for_the_body(connect: Connect) -> None:
    """A client may wait for 100 before it sends one."""
    head, _, body = request(more="Expect: 100-continue\r\n").partition(b"\r\n\r\n")
    async with connect() as connection:
        connection.writer.write(head + b"\r\n\r\n")
        assert (await connection.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        line, _, _ = await connection.ask(body)
        assert line.split()[1] == "200"


async def test_both_ways_say_the_same(service: Client, connect: Connect) -> None:
    """But for what is new for every answer."""

    async def told(more: str) -> tuple[Told, dict[str, object]]:
        async with connect() as connection:
            line, headers, body = await connection.ask(
                request(more=f"X-Request-Id: same\r\n{more}")
            )
        fields = orjson.loads(body)
        for new in ("recommendation_id", "latency_ms"):
            del fields[new]
        del headers["Date"], headers["Content-Length"]
        return (line, headers, b""), fields

    assert lanes(service) == 0
    assert await told("") == await told("Content-Type: application/json ; a=b\r\n")


async def test_many_come_at_once(connect: Connect) -> None:
    """All of them are let in, however many the loop takes in one turn."""
    connections = [connect() for _ in range(5 * door_module.MOST_A_TURN)]

    async def ask(connection: Connection) -> str:
        async with connection:
            return (await connection.ask(request()))[0]

    lines = await asyncio.gather(*map(ask, connections))
    assert set(lines) == {"HTTP/1.1 200 OK"}


async def test_who_is_silent_is_let_go(
    service: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether they sent nothing, half a request, or were answered once."""
    door = service.server.door  # type: ignore[attr-defined]
    monkeypatch.setattr(door_module, "SWEEP_S", 0.01)
    async with connect() as silent, connect() as half, connect() as answered:
        half.writer.write(request()[:60])
        await answered.ask(request())
        monkeypatch.setattr(door, "_keep_alive_s", 0.05)
        door._sweep()
        assert await silent.ended()
        assert await half.ended()
        assert await answered.ended()
    assert lanes(service) == 0


async def test_a_client_that_does_not_read(connect: Connect) -> None:
    """Is not answered without end; others are."""
    async with connect() as deaf, connect() as other:
        deaf.writer.write(request('{"user_id":"nobody","k":100}') * 200_000)
        sent, before = deaf.writer.transport.get_write_buffer_size(), -1
        while sent != before:  # until the service takes no more
            await asyncio.sleep(0.3)
            sent, before = deaf.writer.transport.get_write_buffer_size(), sent
        assert sent > 0
        line, _, _ = await other.ask(request())
        assert line.split()[1] == "200"
        deaf.writer.transport.abort()


async def test_no_answer_no_connection(
    service: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where even writing an answer fails, nobody is left waiting for it."""
    monkeypatch.setattr(Response, "encode", None)
    async with connect() as connection:
        connection.writer.write(request())
        assert await connection.reader.read() == b""
    assert lanes(service) == 0


async def test_an_answer_that_cannot_be_counted_has_left(
    service: Client,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What follows answers fails alone, and is told."""
    assert service.app is not None
    count = service.app[keys.METRICS].request
    served = list[int]()

    def counting(route: Route, source: Source | None, status: int, seconds: float) -> None:
        if not served:
            served.append(0)
            raise ZeroDivisionError
        served.append(status)
        count(route, source, status, seconds)

    monkeypatch.setattr(service.app[keys.METRICS], "request", counting)
    async with connect() as connection:
        for _ in range(2):
            line, _, _ = await connection.ask(request())
            assert line.split()[1] == "200"
        async with asyncio.timeout(10):
            while len(served) < 2:
                await asyncio.sleep(0.01)
    assert served == [0, 200]
    assert "what follows an answer failed" in caplog.text


@pytest.fixture
async def slow(start: Start) -> Client:
    """Return a client of a service whose store takes a fifth of a second."""

    class Slow(NullStore):
        async def read(self, queries: Sequence[ShopperQuery]) -> list[ShopperRead]:
            await asyncio.sleep(0.2)
            return await super().read(queries)

    return await start(Slow())


async def test_who_left_is_counted(slow: Client) -> None:
    """A client that hangs up before its answer costs nothing but a count."""
    async with Connection(slow) as connection:
        connection.writer.write(request())
        await asyncio.sleep(0.05)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        told = await (await slow.get("/metrics")).text()
        if "cuvee_client_gone_total 1.0" in told:
            return
        await asyncio.sleep(0.05)
    pytest.fail("not counted")


async def test_at_the_end_who_waits_is_answered(slow: Client) -> None:
    """And told that the connection ends; who is idle just sees it end."""
    async with Connection(slow) as idle, Connection(slow) as waiting:
        waiting.writer.write(request())
        await asyncio.sleep(0.05)
        assert slow.app is not None
        slow.app[keys.DRAIN].set()
        closing = asyncio.ensure_future(slow.server.close())
        line, headers, _ = await read_answer(waiting.reader)
        assert (line.split()[1], headers["Connection"]) == ("200", "close")
        assert await waiting.ended()
        assert await idle.ended()
        await closing


async def test_at_the_end_who_just_came_is_answered(slow: Client) -> None:
    """Connected, but not let in yet, or with a request on its way."""
    assert slow.app is not None
    connections = [Connection(slow) for _ in range(3 * door_module.MOST_A_TURN)]
    for connection in connections:
        await connection.__aenter__()
        connection.writer.write(request())
    slow.app[keys.DRAIN].set()
    await slow.server.close()
    for connection in connections:
        line, _, _ = await read_answer(connection.reader)
        assert line.split()[1] == "200"
        assert await connection.ended()
        await connection.__aexit__()
