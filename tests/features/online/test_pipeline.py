"""The hot read's connection: order, errors, losses; over real servers, and servers that lie."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from features.online.pipeline import Address, Pipeline

TIMEOUT_S = 5.0
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def pipeline(redis_url: str) -> AsyncIterator[Pipeline]:
    """Return a pipeline to each real server."""
    address = Address.of(redis_url)
    assert address is not None
    pipeline = Pipeline(address, TIMEOUT_S)
    yield pipeline
    await pipeline.aclose()


@asynccontextmanager
async def serving(serve: Serve, timeout_s: float = TIMEOUT_S) -> AsyncIterator[Pipeline]:
    """Yield a pipeline to a server that does what `serve` does."""
    open_connections = 0

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_connections
        open_connections += 1
        with suppress(ConnectionError):
            await serve(reader, writer)
            await reader.read()
        writer.close()
        open_connections -= 1

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pipeline = Pipeline(Address(host="127.0.0.1", port=port), timeout_s)
    async with server:
        yield pipeline
        await pipeline.aclose()
        while open_connections:
            await asyncio.sleep(0)


async def test_answers_come_in_the_order_of_the_commands(pipeline: Pipeline) -> None:
    """Of many at once each gets its own, errors among them."""
    told = await asyncio.gather(
        pipeline.execute_command("SET", "a", b"\x00\xff"),
        pipeline.execute_command("MGET", "a", "none"),
        pipeline.execute_command("INCR", "a"),
        *(pipeline.execute_command("ECHO", str(number)) for number in range(100)),
        return_exceptions=True,
    )
    assert told[:2] == [b"OK", [b"\x00\xff", None]]
    assert isinstance(told[2], ResponseError)
    assert told[3:] == [str(number).encode() for number in range(100)]


async def test_an_unknown_script_is_told_apart(pipeline: Pipeline) -> None:
    """So that it can be sent."""
    with pytest.raises(NoScriptError):
        await pipeline.execute_command("EVALSHA", "0" * 40, 0)


async def test_it_introduces_itself(redis_url: str) -> None:
    """User, password and database of the url hold before the first command."""
    plain = Address.of(redis_url)
    assert plain is not None
    admin = Pipeline(plain, TIMEOUT_S)
    await admin.execute_command("ACL", "SETUSER", "shop", "on", ">s3cret", "~*", "+@all")
    scheme, _, rest = redis_url.partition("://")
    joint = "&" if "?" in rest else "?"
    known = Pipeline(Address.of(f"{scheme}://shop:s3cret@{rest}{joint}db=3") or plain, TIMEOUT_S)
    assert await known.execute_command("ACL", "WHOAMI") == b"shop"
    assert b" db=3 " in await known.execute_command("CLIENT", "INFO")

    stranger = Pipeline(Address.of(f"{scheme}://shop:wrong@{rest}") or plain, TIMEOUT_S)
    with pytest.raises(ResponseError) as refused:
        await stranger.execute_command("PING")
    assert "wrong" not in str(refused.value)
    await admin.execute_command("ACL", "DELUSER", "shop")
    for each in (admin, known, stranger):
        await each.aclose()


@pytest.mark.parametrize(
    "url", ["rediss://host:6380", "redis+cluster://host:1", "rediss+cluster://host:1"]
)
def test_what_is_left_to_redis_py(url: str) -> None:
    """TLS and clusters."""
    assert Address.of(url) is None


def test_an_address_is_what_the_url_says() -> None:
    """Of a host or a socket."""
    assert Address.of("redis://u:p%40@h:1/2") == Address(None, "h", 1, 2, "u", "p@")
    assert Address.of("unix:///run/x.sock?db=1") == Address("/run/x.sock", db=1)


async def test_a_loss_is_everybodys_and_the_next_command_connects_again(
    pipeline: Pipeline,
) -> None:
    """A connection killed by the server fails what waits on it, nothing later."""
    number = await pipeline.execute_command("CLIENT", "ID")
    waiting = [asyncio.ensure_future(pipeline.execute_command("BLPOP", "none", 0))]
    waiting += [asyncio.ensure_future(pipeline.execute_command("PING")) for _ in range(3)]
    await asyncio.sleep(0)
    other = Pipeline(pipeline._address, TIMEOUT_S)
    while b"cmd=blpop" not in await other.execute_command("CLIENT", "LIST", "ID", number):
        await asyncio.sleep(0.01)
    await other.execute_command("CLIENT", "KILL", "ID", number)
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(each, RedisConnectionError) for each in told)
    assert await pipeline.execute_command("PING") == b"PONG"
    await other.aclose()


async def test_the_cancelled_take_nothing_from_others(pipeline: Pipeline) -> None:
    """Their answers are passed over, while connecting and after."""
    for _ in range(3):
        tasks = [asyncio.ensure_future(pipeline.execute_command("ECHO", str(n))) for n in range(9)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        told = await asyncio.gather(*tasks, return_exceptions=True)
        assert told[1::2] == [b"1", b"3", b"5", b"7"]


async def test_nobody_there_is_a_connection_error(tmp_path: Any) -> None:
    """At once, and for all who asked."""
    pipeline = Pipeline(Address(str(tmp_path / "none.sock")), TIMEOUT_S)
    told = await asyncio.gather(
        *(pipeline.execute_command("PING") for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(each, RedisConnectionError) for each in told)


async def test_a_silent_server_is_given_up() -> None:
    """With all that wait, each of whom hears that it was too late."""

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent, timeout_s=0.05) as pipeline:
        told = await asyncio.gather(
            *(pipeline.execute_command("PING") for _ in range(3)), return_exceptions=True
        )
    assert all(isinstance(each, RedisTimeoutError) for each in told)


@pytest.mark.parametrize("rubbish", [b"HTTP/1.1 400\r\n\r\n", b"+a\r\n+b\r\n", b"*2\r\n?\r\n"])
async def test_rubbish_is_a_connection_error(rubbish: bytes) -> None:
    """What is no answer, or one too many, ends the connection."""
    answered = 0

    async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        answered += 1
        await reader.read(100)
        writer.write(rubbish)

    async with serving(lie) as pipeline:
        for turn in (1, 2):
            with suppress(RedisConnectionError):
                assert await pipeline.execute_command("PING") == b"a"
            while pipeline._connection is None or not pipeline._connection.is_lost:
                await asyncio.sleep(0)
            assert answered == turn


async def test_closing_fails_what_waits(pipeline: Pipeline) -> None:
    """Nothing hangs at the end."""
    await pipeline.execute_command("PING")
    waiting = asyncio.ensure_future(pipeline.execute_command("BLPOP", "none", 0))
    await asyncio.sleep(0)
    await pipeline.aclose()
    with pytest.raises(RedisConnectionError):
        await waiting
