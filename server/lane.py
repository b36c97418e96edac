"""A connection as long as it sends plain requests for lists; from the first other one, aiohttp's.

bytes ─ plain, whole ─ its turn ─ answer, one write ─ next
      └ anything else ─ this and all that follows: aiohttp's own protocol

aiohttp's way from a socket to a handler and back costs two thirds of what a cached answer takes.
"""

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from monitoring.labels import Route
from server.plain_request import PATH, Head, UnusualError, plain_head
from server.response import CLOSE, Response
from server.serving import Asked, checked_id

if TYPE_CHECKING:
    from server.door import Door

log = logging.getLogger(__name__)

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
        self._asked: Asked
        self.is_asked = False
        """Whether something is being answered now."""

        self.idle_since = monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self._door.lanes.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        """Let what is under way end: it fills the cache."""
        self._door.lanes.discard(self)
        if self._unread and not self.is_asked:
            self._door.serving.gone()
        self._unread = b""

    def data_received(self, data: bytes) -> None:
        """Take bytes, and begin to answer if they complete a request and none is under way."""
        self._unread = self._unread + data if self._unread else data
        if not self.is_asked:
            self._next()
        if len(self._unread) > MOST_AHEAD:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """Begin nothing more for a client that does not read."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Go on."""
        self._is_full = False
        if not self.is_asked:
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
        self.is_asked = True
        request_id = checked_id(head.request_id)
        self._asked = Asked(
            Route.RECOMMENDATIONS, monotonic(), request_id, _WHAT, PATH, head.parent
        )
        self._door.answer_soon(self, body)

    def answer(self, body: bytes) -> None:
        """Answer what was asked; its turn has come."""
        door, asked = self._door, self._asked
        door.serving.begin()
        door.recommend.begin(body, asked.started, monotonic() - asked.started, self._reply)

    def _reply(self, outcome: Response | Exception) -> None:
        try:
            self._send(outcome)
        except Exception:  # with no answer there must be no connection that waits for one
            log.exception("an answer could not be sent")
            self._transport.abort()

    def _send(self, outcome: Response | Exception) -> None:
        door, transport, asked = self._door, self._transport, self._asked
        self.is_asked, self.idle_since = False, monotonic()
        response = door.serving.end(asked, outcome)
        if transport.is_closing():
            door.serving.gone()
        elif response.ends_connection:
            transport.write(response.encode(asked.request_id, CLOSE))
            transport.close()
        else:
            transport.write(response.encode(asked.request_id))
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
