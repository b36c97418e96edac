"""Logging that cannot hold up the event loop.

record ─ said a moment ago? ─ bounded queue ─ a thread ─ stderr

A full queue drops and counts; a message that repeats is told once in ten seconds, with the
number of those left out.
"""

import logging
import time
from collections.abc import Callable
from logging.handlers import QueueHandler, QueueListener
from queue import Full, Queue
from threading import Thread

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import RequestPayloadError

from server.log_lines import stderr_handler

QUEUE_LENGTH = 4_096
REPEAT_S = 10.0
STOP_TIMEOUT_S = 2.0
MOST_REPEATS = 1_000
"""How many different messages are remembered; some libraries write a new one each time."""


class Log:
    """The process's logging: start it once, stop it last."""

    def __init__(self, level: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Log what is at least of `level`, to stderr."""
        self._handler = BoundedHandler(Queue(QUEUE_LENGTH))
        self._handler.addFilter(is_ours)
        self._handler.addFilter(Repeats(clock))
        self._listener = Listener(self._handler.queue, stderr_handler())
        self._level = level

    def start(self) -> None:
        """Take over the root logger. Call it after a fork: it starts a thread."""
        root = logging.getLogger()
        root.handlers[:] = [self._handler]
        root.setLevel(self._level)
        self._listener.start()

    def stop(self) -> bool:
        """Write what is queued; tell whether stderr took it all in time."""
        writing = Thread(target=self._listener.stop, daemon=True)
        writing.start()
        writing.join(STOP_TIMEOUT_S)
        return not writing.is_alive()

    def on_drop(self, dropped: Callable[[], None]) -> None:
        """Call `dropped` for each record that there was no room for."""
        self._handler.dropped = dropped


class Listener(QueueListener):
    """Writes what is queued, in a thread."""

    queue: "Queue[logging.LogRecord | None]"
    _sentinel: None

    def enqueue_sentinel(self) -> None:
        """Wait for room: a full queue is written before the end."""
        self.queue.put(self._sentinel)


class BoundedHandler(QueueHandler):
    """Queues records, and drops what there is no room for."""

    queue: "Queue[logging.LogRecord]"

    def __init__(self, queue: "Queue[logging.LogRecord]") -> None:
        """Queue into `queue`."""
        super().__init__(queue)
        self.dropped: Callable[[], None] = _nothing

    def enqueue(self, record: logging.LogRecord) -> None:
        """Queue or drop, never wait."""
        try:
            self.queue.put_nowait(record)
        except Full:
            self.dropped()


def is_ours(record: logging.LogRecord) -> bool:
    """Tell whether `record` is about us.

    aiohttp calls it an error when a client speaks no HTTP, and faiss tells which of its libraries
    it does not find before it takes one.
    """
    if record.name == "faiss.loader" and record.levelno < logging.WARNING:
        return False
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | RequestPayloadError)


class Repeats(logging.Filter):
    """Lets the first of equal messages through, and then one each `REPEAT_S`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Measure by `clock`, in seconds."""
        super().__init__()
        self._clock = clock
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether to let `record` through; say in it how many were left out."""
        if record.levelno < logging.WARNING:
            return True
        key, now = (record.name, str(record.msg)), self._clock()
        told_at, left_out = self._told.get(key, (now - REPEAT_S, 0))
        if now - told_at < REPEAT_S:
            self._told[key] = (told_at, left_out + 1)
            return False
        if len(self._told) >= MOST_REPEATS:
            self._told.clear()
        self._told[key] = (now, 0)
        if left_out:
            record.msg = f"{record.msg} ({left_out} more since)"
        return True


def _nothing() -> None:
    pass
