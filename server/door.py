"""Where connections come in, and how they end: idle ones in time, all of them with the process."""

import asyncio
import errno
import logging
import socket
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Final, Self, cast

from aiohttp import web

from server import keys
from server.lane import Lane

log = logging.getLogger(__name__)

SWEEP_S: Final = 5.0
MOST_A_TURN: Final = 16
"""Connections accepted in one turn of the loop: workers that share a listener share what comes."""

MOST_WAITING: Final = 4_096
"""More than a listener lets wait."""

LAST_S: Final = 0.1
"""At the end, for requests that are on their way: they are answered and told that it is the end."""

POLL_S: Final = 0.01
NO_FILES_S: Final = 1.0
"""How long nobody is accepted where the process has no file left for a connection."""

_NO_ROOM = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class Door:
    """Makes a protocol for each connection: a `Lane`, which may give it to aiohttp.

    Enter it once `runner` is set up, and leave it before the runner's cleanup.
    """

    def __init__(self, runner: web.AppRunner, keep_alive_s: float, in_flight_s: float) -> None:
        """Close who was idle for `keep_alive_s`; at the end give answers `in_flight_s`."""
        self.loop = asyncio.get_running_loop()
        self.serving = runner.app[keys.SERVING]
        self.recommend = runner.app[keys.RECOMMEND]
        self.lanes: set[Lane] = set()
        self._runner = runner
        self._keep_alive_s = keep_alive_s
        self._in_flight_s = in_flight_s
        self._listeners: list[socket.socket] = []
        self._welcoming: set[asyncio.Task[None]] = set()
        self._due: list[tuple[Lane, bytes]] = []

    def open(self, listener: socket.socket) -> None:
        """Take the connections that come to `listener`, until the end of both."""
        listener.setblocking(False)
        self._listeners.append(listener)
        self.loop.add_reader(listener, self._accept, listener)

    def aiohttp(self) -> asyncio.Protocol:
        """Return a protocol of aiohttp's, for a connection that is no lane's any more."""
        return cast("asyncio.Protocol", self._runner.server())  # type: ignore[misc]

    def answer_soon(self, lane: Lane, body: bytes) -> None:
        """Answer once all that has arrived was read: it shares a read and a run of the model."""
        if not self._due:
            self.loop.call_soon(self._answer)
        self._due.append((lane, body))

    async def __aenter__(self) -> Self:
        """Begin to look after connections."""
        self._sweeping = self.loop.call_later(SWEEP_S, self._sweep)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Listen no more; end all connections, those that wait for an answer after it."""
        self._runner.app[keys.DRAIN].set()
        self._sweeping.cancel()
        for listener in self._listeners:
            self._accept(listener, MOST_WAITING)  # who connected would otherwise be cut off
            self.loop.remove_reader(listener)
            listener.close()
        if self._welcoming:
            await asyncio.wait(self._welcoming)
        if self.lanes:
            await asyncio.sleep(LAST_S)
        for lane in self.lanes.copy():
            if not lane.is_asked:
                lane.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._in_flight_s):
                while self.lanes:  # noqa: ASYNC110 - each goes once its last answer was sent
                    await asyncio.sleep(POLL_S)
        for lane in self.lanes.copy():
            lane.abort()

    def _answer(self) -> None:
        due, self._due = self._due, []
        for lane, body in due:
            lane.answer(body)

    def _accept(self, listener: socket.socket, most: int = MOST_A_TURN) -> None:
        """Take those who wait: the loop's own server takes one a turn, and busy turns are long."""
        for _ in range(most):
            try:
                connection, _ = listener.accept()
            except OSError as error:
                if error.errno in _NO_ROOM:
                    log.warning("no connection can be accepted: %s", error)
                    self.loop.remove_reader(listener)
                    self.loop.call_later(NO_FILES_S, self._accept_again, listener)
                return  # nobody waits, or who did has gone: the loop calls again for the others
            task = self.loop.create_task(self._welcome(connection))
            self._welcoming.add(task)
            task.add_done_callback(self._welcoming.discard)

    async def _welcome(self, connection: socket.socket) -> None:
        with suppress(OSError):  # who came has gone
            await self.loop.connect_accepted_socket(lambda: Lane(self), connection)

    def _accept_again(self, listener: socket.socket) -> None:
        if listener.fileno() >= 0:
            self.loop.add_reader(listener, self._accept, listener)

    def _sweep(self) -> None:
        """Close whom we have not heard of for long, whether they sent nothing or half a request."""
        self._sweeping = self.loop.call_later(SWEEP_S, self._sweep)
        oldest = monotonic() - self._keep_alive_s
        for lane in self.lanes.copy():
            if not lane.is_asked and lane.idle_since < oldest:
                lane.abort()  # what it was sent and did not take it will not take any more
