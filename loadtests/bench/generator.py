"""`python -m loadtests.bench.generator`: requests at a fixed rate, and how long they took.

An open loop: requests leave at Poisson moments whatever comes back, and latency counts from the
moment a request should have left, so that a stall is seen by all it delays (Tene, "How NOT to
Measure Latency": coordinated omission).
"""

import asyncio
import gc
import json
import random
import signal
import sys
from collections import deque
from collections.abc import Callable, Container, Iterable
from functools import partial
from itertools import cycle
from pathlib import Path
from time import perf_counter, time
from typing import NamedTuple, cast

import click
import uvloop

from features.futures import settle
from loadtests.bench.alarm import Alarm

MOST_CONNECTIONS = 512
PATIENCE_S = 10.0
EXAMPLES, EXAMPLE_BYTES = 5, 500
UNANSWERED, REFUSED = 0, -1
"""The status of a request whose connection ended without an answer, or was never made."""


class Answer(NamedTuple):
    """One request: when it should have left (since the start), how long it took, what came."""

    due_s: float
    seconds: float
    status: int
    source: str
    expected: bool
    asker_late_s: float = 0.0
    """How much later than it should the asker itself woke up to send it."""


class Connection(asyncio.Protocol):
    """One kept-alive connection with at most one request under way."""

    def __init__(self) -> None:
        """Wait to be connected."""
        self._transport: asyncio.Transport
        self._answered: Callable[[bytes], None] = _nothing
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass

    @property
    def lives(self) -> bool:
        """Tell whether another request can be sent."""
        return not self._transport.is_closing()

    def send(self, request: bytes, answered: Callable[[bytes], None]) -> None:
        """Send a request; `answered` gets the whole answer, or nothing if the connection ends."""
        self._answered = answered
        self._transport.write(request)

    async def ask(self, request: bytes) -> bytes:
        """Send a request and return the whole answer, or nothing if the connection ends."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.send(request, partial(settle, answer))
        return await answer

    def data_received(self, data: bytes) -> None:
        """Hand the answer on once it is whole."""
        received = self._received + data if self._received else data
        if not _is_whole(received):
            self._received = received
            return
        self._received = b""
        answered, self._answered = self._answered, _nothing
        if b"connection: close" in received[: received.find(b"\r\n\r\n")].lower():
            self._transport.close()
        answered(received)

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever waits."""
        answered, self._answered = self._answered, _nothing
        answered(b"")

    def close(self) -> None:
        """End the connection."""
        self._answered = _nothing
        self._transport.close()


class Tally:
    """What came back."""

    def __init__(self, expected: bytes, statuses: Container[int] = (200,)) -> None:
        """Count answers of other `statuses`, or that lack `expected`, as failed."""
        self._expected = expected
        self._statuses = statuses
        self.answers: list[Answer] = []
        self.examples: list[bytes] = []
        """The beginnings of the first that failed."""

    def add(
        self, answer: bytes, due_s: float, seconds: float, late_s: float, *, refused: bool
    ) -> None:
        """Note one answer, empty where none came, or where nobody took the request."""
        none = REFUSED if refused else UNANSWERED
        status = int(answer[9:12]) if answer else none
        source = answer.partition(b'"source":"')[2].partition(b'"')[0].decode()
        expected = status in self._statuses and self._expected in answer
        if not expected and len(self.examples) < EXAMPLES:
            self.examples.append(answer[:EXAMPLE_BYTES])
        self.answers.append(Answer(due_s, seconds, status, source, expected, late_s))

    @property
    def failed(self) -> int:
        """Return how many answers were not as expected."""
        return sum(not each.expected for each in self.answers)

    def told(self, seconds: float) -> dict[str, float]:
        """Return the figures of a run that took `seconds`; latencies in ms."""
        ordered = sorted(each.seconds for each in self.answers)
        count = len(ordered)

        def percentile(share: float) -> float:
            return 1_000 * ordered[min(int(share * count), count - 1)] if count else 0.0

        return {
            "requests": count,
            "failed": self.failed,
            "seconds": seconds,
            "rps": count / seconds,
            "p50_ms": percentile(0.5),
            "p95_ms": percentile(0.95),
            "p99_ms": percentile(0.99),
            "p999_ms": percentile(0.999),
        }


class OpenLoop:
    """Sends requests to a port of this machine at a fixed rate, on as many connections as needed.

    A request that finds `MOST_CONNECTIONS` busy waits for one, and its latency counts the wait.
    """

    def __init__(self, port: int, requests: Iterable[bytes], tally: Tally) -> None:
        """Send `requests` one after the other; a list of them for ever."""
        self._port = port
        self._requests = cycle(requests) if isinstance(requests, list) else iter(requests)
        self._tally = tally
        self._free: list[Connection] = []
        self._opened: set[Connection] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._waiting: deque[_Asked] = deque()
        self._under_way: set[_Asked] = set()
        self._started = 0.0
        self.began = 0.0
        """When the first request could have left, in seconds of `time.time`."""
        self._is_to_end = False

    def end(self) -> None:
        """Send no more; `run` waits for what is under way."""
        self._is_to_end = True

    async def open(self, connections: int) -> None:
        """Connect so often beforehand, as who keeps a pool: connecting is part of no latency."""
        for _ in range(connections):
            connection = await connect(self._port)
            self._opened.add(connection)
            self._free.append(connection)

    async def run(self, rate: float, seconds: float) -> float:
        """Send for `seconds` and wait for what is under way; return how long it took.

        What has no answer `PATIENCE_S` seconds later has none.
        """
        draw = random.Random(1)
        self.began = time()
        self._started = due = perf_counter()
        with Alarm() as alarm:
            while (due := due + draw.expovariate(rate)) < self._started + seconds:
                await alarm.wait(due)
                if self._is_to_end:
                    break
                self._send_soon(_Asked(due, perf_counter() - due))
        last = perf_counter() + PATIENCE_S
        while self._under_way and perf_counter() < last:
            await asyncio.sleep(0.001)
        took = perf_counter() - self._started
        for asked in tuple(self._under_way):
            self._ended(asked, b"")
        for connection in self._opened:
            connection.close()
        return took

    def _send_soon(self, asked: "_Asked") -> None:
        self._under_way.add(asked)
        if (connection := self._idle()) is not None:
            self._send(connection, asked)
        elif len(self._opened) + len(self._connecting) < MOST_CONNECTIONS:
            task = asyncio.get_running_loop().create_task(self._send_on_new(asked))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        else:
            self._waiting.append(asked)

    def _idle(self) -> Connection | None:
        while self._free:
            connection = self._free.pop()
            if connection.lives:
                return connection
            self._opened.discard(connection)
        return None

    async def _send_on_new(self, asked: "_Asked") -> None:
        try:
            connection = await connect(self._port)
        except OSError:
            self._ended(asked, b"", refused=True)
            return
        self._opened.add(connection)
        self._send(connection, asked)

    def _send(self, connection: Connection, asked: "_Asked") -> None:
        def answered(answer: bytes) -> None:
            self._ended(asked, answer)
            if answer and connection.lives:
                self._free.append(connection)
            else:
                self._opened.discard(connection)
            if self._waiting:
                self._send_soon(self._waiting.popleft())

        connection.send(next(self._requests), answered)

    def _ended(self, asked: "_Asked", answer: bytes, *, refused: bool = False) -> None:
        if asked not in self._under_way:
            return  # given up before
        self._under_way.discard(asked)
        seconds = perf_counter() - asked.due
        self._tally.add(answer, asked.due - self._started, seconds, asked.late_s, refused=refused)


class _Asked(NamedTuple):
    """A request: when it should have left, and how late the asker was."""

    due: float
    late_s: float


async def connect(port: int) -> Connection:
    """Return a new connection to a port of this machine."""
    _, connection = await asyncio.get_running_loop().create_connection(
        Connection, "127.0.0.1", port
    )
    return connection


def _is_whole(answer: bytes) -> bool:
    head = answer.find(b"\r\n\r\n")
    if head < 0:
        return False
    lowered = answer[:head].lower()
    at = lowered.find(b"content-length:")
    if at < 0:
        return True
    length = int(lowered[at + 15 :].split(b"\r\n", 1)[0])
    return len(answer) >= head + 4 + length


def _nothing(_: bytes) -> None:
    pass


def post(path: str, body: str) -> bytes:
    """Return a POST of the JSON text `body`, as it goes over the wire."""
    content = body.encode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    ).encode() + content


@click.command()
@click.option("--port", required=True, type=int)
@click.option("--path", required=True)
@click.option("--bodies", required=True, type=click.Path(path_type=Path), help="One a line.")
@click.option("--expect", default="", help="What every answer holds.")
@click.option("--seconds", required=True, type=float)
@click.option("--rate", required=True, type=float, help="Requests a second.")
@click.option("--connections", default=0, help="Open so many before the first request.")
@click.option("--answers", type=click.Path(path_type=Path), help="Write every answer here (JSON).")
def main(
    port: int,
    path: str,
    bodies: Path,
    expect: str,
    seconds: float,
    rate: float,
    connections: int,
    answers: Path | None,
) -> None:
    """Send requests to 127.0.0.1:PORT, at SIGTERM no more; print what came of them as JSON."""
    requests = [post(path, body) for body in bodies.read_text().splitlines()]
    tally = Tally(expect.encode())
    gc.disable()  # to walk all that was answered takes a tenth of a second
    loop = OpenLoop(port, requests, tally)

    async def asked() -> float:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, loop.end)
        await loop.open(connections)
        return await loop.run(rate, seconds)

    took = uvloop.run(asked())
    if answers is not None:
        answers.write_text(json.dumps({"began": loop.began, "answers": tally.answers}))
    json.dump(tally.told(took), sys.stdout)


if __name__ == "__main__":
    main()
