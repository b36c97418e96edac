"""One contender's figures: started on a core of its own, asked from the other, stopped."""

import ctypes
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import click

from loadtests.bench.contender import RANKED, Contender
from loadtests.bench.process_tree import processor_s, resident_mb
from loadtests.bench.shop import write_bodies
from loadtests.run import LoadTestError, started

OTHERS_CORE = 1
_CORES = os.sched_getaffinity(0)
"""All there are: read before this program keeps itself to one of them."""
PATH = "/v1/recommendations"
_PR_SET_PDEATHSIG = 1
SCRIPT = Path(__file__).with_name("closed_loop.lua")

_WARM_SHARE = 0.01
"""So few answers of a server that is warm are not as expected."""

_FEW_SHARE = 0.1
"""So few are not, where a busy machine lets the ladder answer."""

_MOST_LOOPS = 4
_MOST_TURNS = 6


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run of a contender gave; times in ms, latencies at a fixed open-loop rate."""

    rps: float
    cpu_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float
    memory_mb: float
    """Of the process and all that it started; what they share counts once (PSS)."""

    failed: int


@dataclass(frozen=True, slots=True)
class Load:
    """How a contender is asked: `connections` kept busy, then `rate` requests a second."""

    seconds: float
    connections: int
    rate: float


def pinned(*cores: int) -> Callable[[], None]:
    """Return what keeps a child on these cores, as far as there are such."""
    return lambda: os.sched_setaffinity(0, {*cores} & _CORES or _CORES)


@contextmanager
def confined(core: int) -> Iterator[None]:
    """Keep this process, and what it starts, on one core for a while."""
    before = os.sched_getaffinity(0)
    pinned(core)()
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def bound(core: int) -> Callable[[], None]:
    """Return what keeps a child on one core, and on Linux ends it with us, however we end."""
    pin = pinned(core)
    if not sys.platform.startswith("linux"):
        return pin
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        pin()

    return prepare


def measure(contender: Contender, folder: Path, load: Load) -> Figures:
    """Return the figures of `contender`: each loop after a warm-up.

    Raises `LoadTestError` where wrk is missing.
    """
    bodies = folder / "bodies.txt"
    write_bodies(bodies, *contender.shoppers)
    with (
        contender.loses or nullcontext(),
        started(
            contender.command,
            contender.environment,
            folder / "server.log",
            pinned(*contender.cores),
            contender.ready,
        ) as (port, process),
    ):
        if contender.loses is not None:
            rank_all(port, bodies, contender, load)
            contender.loses.stop()
        warm_up(port, bodies, contender.expect, load)
        before = processor_s(process.pid)
        closed = closed_loop(port, bodies, contender.expect, load.connections, load.seconds)
        used_s = processor_s(process.pid) - before
        if closed.odd:
            click.echo(f"not as expected ({contender.expect}): {closed.odd}", err=True)
        opened = _open_loop(port, bodies, contender.expect, load.rate, load.seconds)
        return Figures(
            rps=closed.requests / closed.seconds,
            cpu_ms=1_000 * used_s / max(closed.requests, 1),
            p50_ms=opened["p50_ms"],
            p95_ms=opened["p95_ms"],
            p99_ms=opened["p99_ms"],
            p999_ms=opened["p999_ms"],
            memory_mb=resident_mb(process.pid),
            failed=closed.failed + int(opened["failed"]),
        )


@dataclass(frozen=True, slots=True)
class Closed:
    """What came of a closed loop."""

    requests: int
    failed: int
    seconds: float
    odd: str
    """The first answer that was not as expected, where one was not."""


def warm_up(port: int, bodies: Path, expect: str, load: Load) -> None:
    """Ask in a closed loop, too, until connections, caches and the model have run.

    Each loop begins with the same shoppers and lasts twice as long as the one before. The last is
    the one whose answers are as expected, or no more of them than before: a service that is asked
    for too much says so for ever, but one whose cache is filled does not. There are four at most.
    """
    seconds, odd_before = max(1.0, load.seconds / 4), 2.0
    for _ in range(_MOST_LOOPS):
        told = closed_loop(port, bodies, expect, load.connections, seconds)
        odd = told.failed / max(told.requests, 1)
        if odd <= _WARM_SHARE or odd >= odd_before:
            return
        seconds, odd_before = 2 * seconds, odd


def rank_all(port: int, bodies: Path, contender: Contender, load: Load) -> None:
    """Ask until every shopper can be taken to have been ranked: each twice, all but a few times.

    Each turn lasts twice as long as the one before, with half of its connections: on a busy machine
    as many as are measured leave so many answers to the ladder.
    """
    first, end = contender.shoppers
    odd = ""
    for turn in range(_MOST_TURNS):
        connections = max(1, load.connections >> turn)
        told = closed_loop(port, bodies, RANKED, connections, 2**turn)
        if told.requests >= 2 * (end - first) and told.failed <= _FEW_SHARE * told.requests:
            return
        odd = told.odd
    raise LoadTestError(f"{contender.name}: not all shoppers were ranked: {odd}")


def closed_loop(port: int, bodies: Path, expect: str, connections: int, seconds: float) -> Closed:
    """Keep `connections` busy: wrk, since the one who asks must not be the slower one."""
    told = _told(
        *("wrk", "--threads", "1", "--connections", str(connections)),
        *("--duration", f"{math.ceil(seconds)}s", "--timeout", "10s", "--script", str(SCRIPT)),
        *(f"http://127.0.0.1:{port}{PATH}", "--", str(bodies), expect),
    ).decode()
    figures, odd = told.splitlines()[-2:]
    requests, failed, took_us = map(int, figures.split())
    return Closed(requests, failed, took_us / 1e6, odd)


def _open_loop(
    port: int, bodies: Path, expect: str, rate: float, seconds: float
) -> dict[str, float]:
    told: dict[str, float] = json.loads(
        _told(
            *(sys.executable, "-m", "loadtests.bench.generator", "--port", str(port)),
            *("--path", PATH, "--bodies", str(bodies), "--expect", expect),
            *("--seconds", str(seconds), "--rate", str(rate)),
        )
    )
    return told


def _told(*command: str) -> bytes:
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, check=True, preexec_fn=pinned(OTHERS_CORE)
        )
    except FileNotFoundError:
        raise LoadTestError(f"{command[0]} is not installed: apt-get install wrk") from None
    return done.stdout
