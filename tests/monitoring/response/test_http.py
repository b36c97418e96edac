"""One exchange: whatever the other side does, there is an end to it."""

import asyncio

import pytest

from monitoring.response import http
from monitoring.response.errors import ExchangeError
from monitoring.response.http import exchange
from tests.support.process import free_port
from tests.support.receivers import Behaviour, Receiver, drip, hang, listening


async def test_get_and_post() -> None:
    """Path, query, headers and body arrive as they are."""
    receiver = Receiver([200, 503])
    async with listening(receiver.serve) as port:
        url = f"http://127.0.0.1:{port}"
        assert await exchange(f"{url}/a/b?c=d", within_s=5) == (200, b"")
        assert (await exchange(url, b"content", {"X-A": "b"}, within_s=5))[0] == 503
    first, second = receiver.requests
    assert (first.line, first.body) == ("GET /a/b?c=d HTTP/1.1", b"")
    assert (second.line, second.body) == ("POST / HTTP/1.1", b"content")
    assert (second.headers["x-a"], second.headers["host"]) == ("b", f"127.0.0.1:{port}")


async def test_an_answer_in_chunks() -> None:
    """As servers send what they do not know the length of."""

    async def chunked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    async with listening(chunked) as port:
        assert await exchange(f"http://127.0.0.1:{port}", within_s=5) == (200, b"abcde")


async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hang up."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"")


async def noise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer what is no HTTP."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"220 mail.test ESMTP\r\n")


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer more than anybody wants."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + b"x" * 9_000)


@pytest.mark.parametrize(
    "answer",
    [
        b"Content-Length: 9\r\n\r\n12345",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
        b"Content-Type: text/plain\r\n",
    ],
)
async def test_an_answer_that_is_cut_short(answer: bytes) -> None:
    """Is none: half of the metrics are not the metrics."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + answer)

    async with listening(cut) as port:
        with pytest.raises(ExchangeError, match="cut short"):
            await exchange(f"http://127.0.0.1:{port}", within_s=30)


async def test_an_answer_that_ends_with_its_connection() -> None:
    """Is whole, where nothing says how long it is."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n12345")

    async with listening(plain) as port:
        assert await exchange(f"http://127.0.0.1:{port}", within_s=30) == (200, b"12345")


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        (hang, "no answer within 0.2 s"),
        (drip, "no answer within 0.2 s"),
        (nothing, "closed without an answer"),
        (noise, "no HTTP"),
        (flood, "longer than 1000 bytes"),
    ],
)
async def test_whatever_is_no_answer(
    behaviour: Behaviour, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is one kind of error, soon."""
    monkeypatch.setattr(http, "MOST_BYTES", 1_000)
    within_s = 0.2 if behaviour in {hang, drip} else 30
    async with listening(behaviour) as port:
        with pytest.raises(ExchangeError, match=told):
            await exchange(f"http://127.0.0.1:{port}", within_s=within_s)


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "https://127.0.0.1:{port}/x"])
async def test_nobody_is_there(url: str) -> None:
    """Nor anybody who speaks TLS."""
    with pytest.raises(ExchangeError):
        await exchange(url.format(port=free_port()), within_s=30)
