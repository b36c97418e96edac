"""`python -m loadtests.bench.generator`: requests at a fixed rate, and how long they took.

An open loop: requests leave at Poisson moments whatever comes back, and latency counts from the
moment a request should have left, so that a stall is seen by all it delays (Tene, "How NOT to
Measure Latency": coordinated omission).
"""

import asyncio
import json
import random
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import cast

import click
import uvloop

MOST_CONNECTIONS = 512
PATIENCE_S = 10.0


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

    def send(self, request: bytes, answered: Callable[[bytes], None]) -> None:
        """Send a request; `answered` gets the whole answer, or nothing if the connection ends."""
        if self._transport.is_closing():
            answered(b"")
            return
        self._answered = answered
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Hand the answer on once it is whole."""
        received = self._received + data if self._received else data
        if not _is_whole(received):
            self._received = received
            return
        self._received = b""
        self._answered(received)

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

    def __init__(self, expected: bytes) -> None:
        """Count answers that are no 200, or lack `expected`, as failed."""
        self._expected = expected
        self.failed = 0
        self.latencies_s: list[float] = []

    def add(self, answer: bytes, seconds: float) -> None:
        """Count one answer."""
        self.latencies_s.append(seconds)
        if not answer.startswith(b"HTTP/1.1 200") or self._expected not in answer:
            self.failed += 1

    def told(self, seconds: float) -> dict[str, float]:
        """Return the figures of a run that took `seconds`; latencies in ms."""
        ordered = sorted(self.latencies_s)
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


async def open_loop(
    port: int, requests: Sequence[bytes], tally: Tally, rate: float, seconds: float
) -> float:
    """Send `rate` requests a second for `seconds`; return how long it took."""
    draw = random.Random(1)
    free = [await _connect(port) for _ in range(MOST_CONNECTIONS // 8)]
    opened = list(free)
    under_way = 0
    queue = deque(requests)
    started = due = perf_counter()

    def send(due: float) -> None:
        nonlocal under_way
        connection = free.pop()
        under_way += 1

        def answered(answer: bytes) -> None:
            nonlocal under_way
            under_way -= 1
            tally.add(answer, perf_counter() - due)
            if answer:
                free.append(connection)

        queue.rotate(-1)
        connection.send(queue[0], answered)

    while (due := due + draw.expovariate(rate)) < started + seconds:
        while (wait := due - perf_counter()) > 0:
            await asyncio.sleep(wait if wait > 0.002 else 0)  # timers know whole milliseconds
        if not free and len(opened) < MOST_CONNECTIONS:
            opened.append(await _connect(port))
            free.append(opened[-1])
        while not free:
            await asyncio.sleep(0)
        send(due)
    last = perf_counter() + PATIENCE_S
    while under_way and perf_counter() < last:
        await asyncio.sleep(0.001)
    took = perf_counter() - started
    for connection in opened:
        connection.close()
    return took


async def _connect(port: int) -> Connection:
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


def _request(path: str, body: str) -> bytes:
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
def main(port: int, path: str, bodies: Path, expect: str, seconds: float, rate: float) -> None:
    """Send requests to 127.0.0.1:PORT and print what came of them as JSON."""
    requests = [_request(path, body) for body in bodies.read_text().splitlines()]
    tally = Tally(expect.encode())
    took = uvloop.run(open_loop(port, requests, tally, rate, seconds))
    json.dump(tally.told(took), sys.stdout)


if __name__ == "__main__":
    main()
