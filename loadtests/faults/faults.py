"""What can break: each fault breaks one thing of a running service, and mends it."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from loadtests.bench.measure import PATH
from loadtests.bench.shop import shop_parts
from loadtests.faults.graphs import raising, slow
from loadtests.faults.rig import NOTHING_KEPT, Rig
from loadtests.faults.verdict import Loss
from models.bundle import write_bundle
from models.parts import Parts

ITEMS, SHOPPERS = 1_000, 1_000
LARGE = 150_000
"""Items among which ranking takes longer than asking: else who asks is the slower one."""

FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)
"""What steps the clock of a process, None where it is not installed."""

SLOW_S = 0.2
SWAPS = 20
SLOW_CLIENTS = 300

_HEAD = (
    f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    "Content-Length: 100\r\n\r\n"
).encode()

Behave = Callable[[asyncio.StreamWriter], Awaitable[None]]
Break = Callable[[Rig], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the table: `breaks` breaks on entering and mends on leaving."""

    name: str
    breaks: Break
    behind_proxy: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    lasts: float = 1.0
    """How long, as a multiple of what is usual."""

    overload: float = 0.0
    """Ask this many times as much as the service can do."""

    items: int = ITEMS
    """Rank among so many."""

    trees: int = 0
    """Serve a dear ranker of so many trees."""

    allows: Collection[Loss] = ()
    """What requests may meet with instead of a list."""


@asynccontextmanager
async def nothing(_: Rig) -> AsyncIterator[None]:
    """Break nothing: what the rig itself costs."""
    yield


@asynccontextmanager
async def store_killed(rig: Rig) -> AsyncIterator[None]:
    """Kill Valkey, and whatever is started in its place, for as long as it lasts."""
    async with _dead(rig, "valkey-server"):
        yield


@asynccontextmanager
async def store_frozen(rig: Rig) -> AsyncIterator[None]:
    """Stop Valkey as a debugger would."""
    async with _stopped(rig.processes("valkey-server")):
        yield


@asynccontextmanager
async def store_slow(rig: Rig) -> AsyncIterator[None]:
    """Let every answer of the store come 60 ms later."""
    assert rig.proxy is not None
    rig.proxy.delay_s = 0.06
    yield
    rig.proxy.delay_s = 0.0


@asynccontextmanager
async def store_errors(rig: Rig) -> AsyncIterator[None]:
    """Let the store refuse every read with an error."""
    rig.store.acl_setuser("default", enabled=True, commands=["-mget"])
    yield
    rig.store.acl_setuser("default", enabled=True, categories=["+@all"])


@asynccontextmanager
async def store_full(rig: Rig) -> AsyncIterator[None]:
    """Leave the store no memory to write with."""
    rig.store.config_set("maxmemory", "1mb")
    yield
    rig.store.config_set("maxmemory", "0")


@asynccontextmanager
async def store_hangs_up(rig: Rig) -> AsyncIterator[None]:
    """Accept the store's connections and end them at once."""
    assert rig.proxy is not None
    rig.proxy.hang_up = True
    rig.proxy.drop()
    yield
    rig.proxy.hang_up = False


@asynccontextmanager
async def model_raises(rig: Rig) -> AsyncIterator[None]:
    """Promote a model that passes its warm-up and fails for shoppers."""
    async with _promoted(rig, _changed(raising)):
        yield


@asynccontextmanager
async def model_slow(rig: Rig) -> AsyncIterator[None]:
    """Promote a model that is fast in its warm-up and takes 200 ms for shoppers."""
    async with _promoted(rig, _changed(lambda tower: slow(tower, SLOW_S))):
        yield


@asynccontextmanager
async def bundle_corrupt(rig: Rig) -> AsyncIterator[None]:
    """Promote a bundle with one bit flipped, which is refused."""
    version = await asyncio.to_thread(write_bundle, rig.home / "models", _another())
    path = rig.home / "models" / version / "tower.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    status = await rig.admin(f"/v1/models/{version}/promote")
    if status != 409:
        raise AssertionError(f"a corrupt bundle was answered with {status}")
    yield


@asynccontextmanager
async def overloaded(rig: Rig) -> AsyncIterator[None]:
    """Ask for more than the service can do."""
    assert rig.flood is not None
    async with rig.flood.asking(rig.port, rig.answers):
        yield


@asynccontextmanager
async def worker_killed(rig: Rig) -> AsyncIterator[None]:
    """Kill one of two workers."""
    os.kill(rig.workers()[0], signal.SIGKILL)
    yield


@asynccontextmanager
async def swapped(rig: Rig) -> AsyncIterator[None]:
    """Promote and roll back, by turns, at even distances; each time a bundle is loaded."""
    began = time.monotonic()
    version = await asyncio.to_thread(write_bundle, rig.home / "models", _another())
    turns = (f"/v1/models/{version}/promote", "/v1/models/rollback")
    for turn in range(SWAPS):
        if (status := await rig.admin(turns[turn % 2])) != 200:
            raise AssertionError(f"swap {turn} was answered with {status}")
        due = began + rig.lasts_s * (turn + 1) / SWAPS
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    yield


@asynccontextmanager
async def terminated(rig: Rig) -> AsyncIterator[None]:
    """Ask the service to end, and start it again."""
    assert rig.service is not None
    rig.service.terminate()
    await rig.service.wait()
    gone = time.time()
    await rig.start()
    rig.away.append((gone, time.time()))
    yield


@asynccontextmanager
async def slow_clients(rig: Rig) -> AsyncIterator[None]:
    """Hold connections whose requests come byte by byte."""
    async with _clients(rig, _drip):
        yield


@asynccontextmanager
async def half_open_clients(rig: Rig) -> AsyncIterator[None]:
    """Hold connections that announce a body and send none, and read no answer."""
    async with _clients(rig, _announce):
        yield


@asynccontextmanager
async def consumers_dead(rig: Rig) -> AsyncIterator[None]:
    """Kill what carries events to the offline store, and what is started in its place."""
    async with _dead(rig, "features consume"):
        yield


@asynccontextmanager
async def consumers_frozen(rig: Rig) -> AsyncIterator[None]:
    """Stop what carries events to the offline store as a debugger would."""
    async with _stopped(rig.processes("features consume")):
        yield


@asynccontextmanager
async def clock_stepped(rig: Rig) -> AsyncIterator[None]:
    """Set the clock of the service and its store an hour on, then back."""
    path = rig.home / "clock"
    path.write_text("+3600\n")
    yield
    path.write_text("-3600\n")
    await asyncio.sleep(2)
    path.write_text("+0\n")


def faults() -> list[Fault]:
    """Return every fault, in the order of the table."""
    return [
        Fault("nothing (for comparison)", nothing),
        Fault("Valkey killed, again and again", store_killed),
        Fault("Valkey frozen", store_frozen),
        Fault("Valkey slow by 60 ms", store_slow, behind_proxy=True),
        Fault("Valkey answers reads with errors", store_errors),
        Fault("Valkey full", store_full),
        Fault("Valkey hangs up after accepting", store_hangs_up, behind_proxy=True),
        Fault("model raises", model_raises),
        Fault("model slow by 200 ms", model_slow),
        Fault("corrupt bundle promoted", bundle_corrupt),
        *_overloads(),
        Fault(
            "worker killed, of two",
            worker_killed,
            environment={"CUVEE_WORKERS": "2"},
            allows=(Loss.CUT_OFF,),
        ),
        Fault(f"{SWAPS} promotions and rollbacks", swapped, environment=NOTHING_KEPT),
        Fault("SIGTERM, and started again", terminated, allows=(Loss.REFUSED,)),
        Fault("300 clients that drip", slow_clients),
        Fault("300 half-open clients", half_open_clients),
        Fault("event consumers dead", consumers_dead, lasts=6),
        Fault("event consumers frozen", consumers_frozen, lasts=6),
        *_clock(),
    ]


def _overloads() -> list[Fault]:
    """Return the faults of too many requests: for the loop, for the inference thread, for both."""
    usual = Fault(
        "three times too many requests",
        overloaded,
        environment={"CUVEE_CACHE_TTL_S": "0"},
        lasts=3,
        overload=3,
        items=LARGE,
    )
    little = {"CUVEE_MAX_INFLIGHT": "16"}
    return [
        usual,
        replace(
            usual,
            name="three times too many, 16 at once in full",
            environment={**usual.environment, **little},
        ),
        replace(usual, name="three times too many for a dear ranker", items=ITEMS, trees=2_000),
    ]


def _clock() -> list[Fault]:
    """Return the fault of the clock, where libfaketime is there to step it."""
    if FAKETIME is None:
        return []
    environment = {
        "PYTHONPATH": str(Path(__file__).with_name("faketime")),
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": "{home}/clock",
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # else waiting for the interpreter's lock spins
    }
    return [Fault("clock stepped by an hour", clock_stepped, environment=environment)]


@asynccontextmanager
async def _dead(rig: Rig, named: str) -> AsyncIterator[None]:
    if not rig.processes(named):
        raise AssertionError("there is no such process")
    killing = asyncio.create_task(_kill_again(rig, named))
    try:
        yield
    finally:
        killing.cancel()


async def _kill_again(rig: Rig, named: str) -> None:
    while True:
        for pid in rig.processes(named):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.05)


@asynccontextmanager
async def _stopped(pids: list[int]) -> AsyncIterator[None]:
    if not pids:
        raise AssertionError("there is no such process")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def _promoted(rig: Rig, parts: Parts) -> AsyncIterator[None]:
    version = await asyncio.to_thread(write_bundle, rig.home / "models", parts)
    if (status := await rig.admin(f"/v1/models/{version}/promote")) != 200:
        raise AssertionError(f"the promotion was answered with {status}")
    yield
    if (status := await rig.admin("/v1/models/rollback")) != 200:
        raise AssertionError(f"the rollback was answered with {status}")


def _another() -> Parts:
    return shop_parts(ITEMS, seed=3, shoppers=SHOPPERS)


def _changed(change: Callable[[bytes], bytes]) -> Parts:
    parts = _another()
    assert parts.personal is not None
    return replace(parts, personal=replace(parts.personal, tower=change(parts.personal.tower)))


@asynccontextmanager
async def _clients(rig: Rig, behave: Behave) -> AsyncIterator[None]:
    clients = [asyncio.create_task(_client(rig.port, behave)) for _ in range(SLOW_CLIENTS)]
    yield
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)


async def _client(port: int, behave: Behave) -> None:
    """Behave so, on a new connection whenever the service has ended the last."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await behave(writer)
            finally:
                writer.close()
        except OSError:
            await asyncio.sleep(0.1)


async def _drip(writer: asyncio.StreamWriter) -> None:
    for byte in _HEAD:
        writer.write(bytes((byte,)))
        await writer.drain()
        await asyncio.sleep(0.5)


async def _announce(writer: asyncio.StreamWriter) -> None:
    writer.write(_HEAD)
    await writer.drain()
    await asyncio.sleep(3_600)
