"""Where connections come in, and how they end: idle ones in time, all of them with the process."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from time import monotonic
from types import TracebackType
from typing import Final, Self, cast

from aiohttp import web

from server import keys
from server.handlers.recommendations import Recommend
from server.lane import Lane
from server.response import Response

SWEEP_S: Final = 5.0


class Door:
    """Makes a protocol for each connection: a `Lane`, which may give it to aiohttp.

    Enter it once `runner` is set up, and leave it before the runner's cleanup.
    """

    def __init__(self, runner: web.AppRunner, keep_alive_s: float, in_flight_s: float) -> None:
        """Close who was idle for `keep_alive_s`; at the end give answers `in_flight_s`."""
        self.loop = asyncio.get_running_loop()
        self.serving = runner.app[keys.SERVING]
        self.recommend: Callable[[bytes, float], Awaitable[Response]] = Recommend(runner.app)
        self.lanes: set[Lane] = set()
        self._runner = runner
        self._keep_alive_s = keep_alive_s
        self._in_flight_s = in_flight_s
        self._servers: list[asyncio.Server] = []

    async def open(self, listener: socket.socket, backlog: int) -> None:
        """Take the connections that come to `listener`."""
        server = await self.loop.create_server(lambda: Lane(self), sock=listener, backlog=backlog)
        self._servers.append(server)

    def aiohttp(self) -> asyncio.Protocol:
        """Return a protocol of aiohttp's, for a connection that is no lane's any more."""
        return cast("asyncio.Protocol", self._runner.server())  # type: ignore[misc]

    async def __aenter__(self) -> Self:
        """Begin to look after connections."""
        self._sweeping = self.loop.call_later(SWEEP_S, self._sweep)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Listen no more; end all connections, those that wait for an answer after it."""
        for server in self._servers:
            server.close()
        self._sweeping.cancel()
        under_way = [lane.task for lane in self.lanes if lane.task is not None]
        for lane in self.lanes.copy():
            if lane.task is None:
                lane.close()
        if under_way:
            await asyncio.wait(under_way, timeout=self._in_flight_s)
        for lane in self.lanes.copy():
            lane.abort()

    def _sweep(self) -> None:
        """Close whom we have not heard of for long, whether they sent nothing or half a request."""
        self._sweeping = self.loop.call_later(SWEEP_S, self._sweep)
        oldest = monotonic() - self._keep_alive_s
        for lane in self.lanes.copy():
            if lane.task is None and lane.idle_since < oldest:
                lane.close()
