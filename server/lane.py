"""A connection as long as it sends plain requests for lists; from the first other one, aiohttp's.

bytes ─ plain, whole ─ task ─ answer, one write ─ next
      └ anything else ─ this and all that follows: aiohttp's own protocol

aiohttp's way from a socket to a handler and back costs two thirds of what a cached answer takes.
"""

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from monitoring.labels import Route
from server.plain_request import PATH, Head, UnusualError, plain_head
from server.response import CLOSE
from server.serving import Asked, checked_id

if TYPE_CHECKING:
    from server.door import Door

MOST_AHEAD: Final = 256 * 1024
"""Bytes that a client may send ahead of its answers; then it is not read from for a while."""

_WHAT = f"POST {PATH}"


class Lane(asyncio.Protocol):
    """One connection; its requests are answered one after the other, as they came."""

    def __init__(self, door: "Door") -> None:
        """Serve what came in by `door`."""
        self._door = door
        self._transport: asyncio.Transport
        self._unread = b""
        self._head: Head | None = None
        self._is_full = False
        self.task: asyncio.Task[None] | None = None
        """What is being answered now."""

        self.idle_since = monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self._door.lanes.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        """Let what is under way end: it fills the cache."""
        self._door.lanes.discard(self)
        if self._unread and self.task is None:
            self._door.serving.gone()
        self._unread = b""

    def data_received(self, data: bytes) -> None:
        """Take bytes, and begin to answer if they complete a request and none is under way."""
        self._unread = self._unread + data if self._unread else data
        if self.task is None:
            self._next()
        if len(self._unread) > MOST_AHEAD:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """Begin nothing more for a client that does not read."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Go on."""
        self._is_full = False
        if self.task is None:
            self._next()

    def close(self) -> None:
        """End the connection once what was written has been sent."""
        self._transport.close()

    def abort(self) -> None:
        """End the connection now."""
        self._transport.abort()

    def _next(self) -> None:
        if self._is_full or not self._unread or self._transport.is_closing():
            return
        try:
            head = plain_head(self._unread, self._head)
        except UnusualError:
            pass  # handed over below: no error of aiohttp's was caused by this one
        else:
            if head is not None:
                self._head = head
                self._begin(head)
            return
        self._hand_over()

    def _begin(self, head: Head) -> None:
        """Begin to answer, once the body is there, too."""
        begin = len(head.raw)
        end = begin + head.length
        if len(self._unread) < end:
            return
        body, self._unread = self._unread[begin:end], self._unread[end:]
        answer = self._answer(head.request_id, body, monotonic())
        self.task = self._door.loop.create_task(answer)

    async def _answer(self, request_id: str | None, body: bytes, started: float) -> None:
        door, transport = self._door, self._transport
        told = checked_id(request_id)
        asked = Asked(Route.RECOMMENDATIONS, started, told, _WHAT)
        answering = door.recommend(body, started, monotonic() - started)
        try:
            response = await door.serving.respond(asked, answering)
        except BaseException:  # with no answer there must be no connection that waits for one
            transport.abort()
            raise
        self.task, self.idle_since = None, monotonic()
        if transport.is_closing():
            door.serving.gone()
        elif response.ends_connection:
            transport.write(response.encode(told, CLOSE))
            transport.close()
        else:
            transport.write(response.encode(told))
            if len(self._unread) <= MOST_AHEAD:
                transport.resume_reading()
            self._next()

    def _hand_over(self) -> None:
        """Give aiohttp the connection, with what came and was not answered yet."""
        self._door.lanes.discard(self)
        protocol, transport = self._door.aiohttp(), self._transport
        unread, self._unread = self._unread, b""
        transport.set_protocol(protocol)
        transport.resume_reading()  # it may have sent far ahead
        protocol.connection_made(transport)
        protocol.data_received(unread)
