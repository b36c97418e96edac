"""The hot read's own connection: commands follow one another, nobody waits for a free connection.

    execute ─ packed, written (the loop sends a turn's writes together) ─ future
    answers ─ parsed by hiredis, in the order of the commands ─ futures settled

It speaks to one server over TCP or a unix socket. Clusters and TLS are redis-py's, whose general
client costs ten times as much for each command. Errors are redis-py's, too.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from time import monotonic
from typing import Any, cast

import hiredis
from redis.asyncio.connection import parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from features.futures import settle

_NO_SCRIPT = "NOSCRIPT"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens, and how to introduce oneself; `path` of a unix socket, or a host."""

    path: str | None = None
    host: str = "localhost"
    port: int = 6379
    db: int = 0
    username: str | None = None
    password: str | None = None

    @classmethod
    def of(cls, url: str) -> "Address | None":
        """Return the address in a redis:// or unix:// url, None where redis-py is needed.

        Raises `ValueError` where the url is none.
        """
        if not url.startswith(("redis://", "unix://")):
            return None
        told: dict[str, Any] = dict(parse_url(url))
        return cls(**{name: told[name] for name in cls.__slots__ if name in told})

    def greeting(self) -> list[tuple[str | int, ...]]:
        """Return the commands that a connection begins with."""
        commands: list[tuple[str | int, ...]] = []
        if self.password is not None:
            commands.append(("AUTH", self.username or "default", self.password))
        if self.db:
            commands.append(("SELECT", self.db))
        return commands


class Pipeline:
    """Commands to the server at an address; connects at the first, and again after a loss.

    Make one per event loop. A connection whose oldest command waits longer than `timeout_s` is
    given up with all that wait on it.
    """

    def __init__(self, address: Address, timeout_s: float) -> None:
        """Connect to nobody yet."""
        self._address = address
        self._timeout_s = timeout_s
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[_Connection] | None = None

    async def execute_command(self, *command: bytes | str | int) -> Any:  # noqa: ANN401
        """Return the server's answer: bytes, an integer, None, or a list of these.

        Raises `ConnectionError`, `TimeoutError`, or `ResponseError` (also `NoScriptError`) of
        redis-py. Whoever is cancelled takes nothing from the others.
        """
        connection = self._connection
        if connection is None or connection.is_lost:
            connection = await self._connected()
        return await connection.send(command)

    def reset(self) -> None:
        """Give the connection up with all that wait on it; the next command makes another."""
        if self._connection is not None:
            self._connection.abort(RedisConnectionError("given up"))

    async def aclose(self) -> None:
        """End the connection, and one that is being made."""
        if self._connecting is not None:
            self._connecting.cancel()
        self.reset()

    async def _connected(self) -> "_Connection":
        """Return the connection that is being made: one for all who wait."""
        if self._connecting is None:
            self._connecting = asyncio.ensure_future(self._connect())
            self._connecting.add_done_callback(self._made)
        return await asyncio.shield(self._connecting)

    def _made(self, task: "asyncio.Task[_Connection]") -> None:
        self._connecting = None
        if not task.cancelled() and task.exception() is None:
            self._connection = task.result()

    async def _connect(self) -> "_Connection":
        address, loop = self._address, asyncio.get_running_loop()

        def make() -> _Connection:
            return _Connection(loop, self._timeout_s)

        try:
            async with asyncio.timeout(self._timeout_s):
                _, connection = await (
                    loop.create_connection(make, address.host, address.port)
                    if address.path is None
                    else loop.create_unix_connection(make, address.path)
                )
                await connection.greet(address.greeting())
        except TimeoutError:
            raise RedisTimeoutError("connecting took too long") from None
        except OSError as error:
            raise RedisConnectionError(str(error)) from None
        return connection


class _Connection(asyncio.Protocol):
    """One connection: what was asked on it, in order, and when."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        self.is_lost = False
        self._loop = loop
        self._timeout_s = timeout_s
        self._transport: asyncio.Transport
        self._reader = hiredis.Reader(protocolError=RedisConnectionError, replyError=_reply_error)
        self._asked: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._why: Exception = RedisConnectionError("the server closed the connection")

    async def greet(self, commands: list[tuple[str | int, ...]]) -> None:
        try:
            for command in commands:
                await self.send(command)
        except BaseException:
            self.abort(RedisConnectionError("not let in"))
            raise

    def send(self, command: tuple[bytes | str | int, ...]) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = self._loop.create_future()
        if self.is_lost:
            future.set_exception(self._why)
            return future
        self._asked.append((future, monotonic()))
        if self._watch is None:
            self._watch = self._loop.call_later(self._timeout_s, self._look)
        self._transport.write(hiredis.pack_command(command))  # type: ignore[arg-type]
        return future

    def abort(self, why: Exception) -> None:
        if not self.is_lost:
            self._why = why
            self._transport.abort()
            self.connection_lost(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (answer := self._reader.gets()) is not False:
                self._settle(answer)
        except RedisConnectionError as error:  # what it says is no answer
            self.abort(error)

    def connection_lost(self, _: Exception | None) -> None:
        self.is_lost = True
        if self._watch is not None:
            self._watch.cancel()
        while self._asked:
            future = self._asked.popleft()[0]
            if not future.done():
                future.set_exception(self._why)

    def _settle(self, answer: Any) -> None:  # noqa: ANN401
        if not self._asked:
            raise RedisConnectionError("an answer that nobody asked for")
        future, _ = self._asked.popleft()
        settle(future, answer)

    def _look(self) -> None:
        """Give the connection up if its oldest command waited too long, else look again then."""
        self._watch = None
        if not self._asked:
            return
        left = self._asked[0][1] + self._timeout_s - monotonic()
        if left <= 0:
            self.abort(RedisTimeoutError(f"no answer within {self._timeout_s:g} s"))
        else:
            self._watch = self._loop.call_later(left, self._look)


def _reply_error(message: str) -> ResponseError:
    return (NoScriptError if message.startswith(_NO_SCRIPT) else ResponseError)(message)
