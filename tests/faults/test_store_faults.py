"""The online store when its server fails: always a `StoreError`, soon, and never for ever.

Every fault is made with a real server or a proxy before it. A caller waits for an answer with
`asyncio.wait` and leaves what is late to itself, as the request path does.
"""

import asyncio
import contextlib
import itertools
import os
import resource
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from features.errors import StoreError, StoreFullError, StoreTimeoutError
from features.events import Event, EventType
from features.ids import stable_hash
from features.online.embedded import EmbeddedValkey, _binary
from features.online.store import Appended, KeptAnswer, ShopperQuery, ShopperRead
from features.online.valkey_store import READ_CONNECTIONS, WRITE_CONNECTIONS, ValkeyStore
from loadtests.faults.proxy import GARBAGE, ChaosProxy

BUDGET_S = 0.05
LONG_S = 30.0
"""What ends sooner or later: far above every timeout of the store."""


def event(event_id: str, user_id: str = "u1") -> Event:
    """Return a purchase of an item of that shopper's own."""
    return Event(event_id, EventType.PURCHASE, user_id, 1e9, item_id=f"item of {user_id}")


async def read(store: ValkeyStore, user_id: str = "u1") -> ShopperRead:
    """Read one shopper."""
    return (await store.read([ShopperQuery(user_id, "b")]))[0]


async def recovered(store: ValkeyStore, user_id: str = "u1") -> ShopperRead:
    """Return the first answer after a fault; each try before is a `StoreError`."""
    async with asyncio.timeout(LONG_S):
        while True:
            try:
                return await read(store, user_id)
            except StoreError:
                await asyncio.sleep(0.01)


async def bounded(task: "asyncio.Task[Any]") -> bool:
    """Tell whether `task` ended within the budget; it is not cancelled."""
    done, _ = await asyncio.wait([task], timeout=BUDGET_S)
    return bool(done)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """Return a server of this test's own, whose every write is on disk."""
    with EmbeddedValkey(tmp_path, {"appendfsync": "always"}) as running:
        yield running


@pytest.fixture
def raw(server: EmbeddedValkey) -> Iterator[Any]:
    """Return a plain client of the server."""
    with Redis.from_url(server.url) as client:
        yield client


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[ValkeyStore]:
    """Return a store over `url`, closed in the end."""
    store = ValkeyStore(url)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(server: EmbeddedValkey) -> AsyncIterator[ValkeyStore]:
    """Return a store over the server."""
    async with opened(server.url) as made:
        yield made


@pytest.fixture
async def proxy(server: EmbeddedValkey, tmp_path: Path) -> AsyncIterator[ChaosProxy]:
    """Return a proxy before the server."""
    async with ChaosProxy(server.socket_path, tmp_path / "p") as made:
        yield made


@pytest.fixture
async def behind(proxy: ChaosProxy) -> AsyncIterator[ValkeyStore]:
    """Return a store that knows one shopper, behind the proxy."""
    async with opened(proxy.url) as made:
        await made.append([event("e1")])
        yield made


async def test_a_killed_server_is_an_error_and_comes_back(
    server: EmbeddedValkey, store: ValkeyStore
) -> None:
    """Every call fails at once while it is dead; restarted, it has all that was acknowledged."""
    await store.append([event("e1")])
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)

    for call in (
        read(store),
        store.append([event("e2")]),
        store.put_answers([KeptAnswer(ShopperQuery("u1", "b"), b"x", 60)]),
        store.put_profiles({"u1": {"age": 4}}),
        store.forget("u2"),
        store.rings.forgotten(["u2"]),
        store.ping(),
    ):
        task = asyncio.ensure_future(call)
        await asyncio.wait([task], timeout=LONG_S)
        assert isinstance(task.exception(), StoreError)

    server.start()
    assert len((await recovered(store)).state.recent) == 1
    assert await store.append([event("e1"), event("e2")]) == Appended(1, 1)


async def test_a_restart_under_way_is_no_wrong_answer(
    server: EmbeddedValkey, store: ValkeyStore
) -> None:
    """While the server stops and starts, a read is right or a `StoreError`."""
    await store.append([event("e1")])
    stop = asyncio.Event()

    async def reader() -> tuple[int, int]:
        right = wrong = 0
        while not stop.is_set():
            try:
                told = await read(store)
            except StoreError:
                wrong += 1
                await asyncio.sleep(0.001)
            else:
                right += 1
                assert told.state.history["item"].tolist() == [stable_hash("item of u1")]
        return right, wrong

    tasks = [asyncio.create_task(reader()) for _ in range(4)]
    for _ in range(2):
        await asyncio.to_thread(server.stop)
        server.start()
    await recovered(store)
    stop.set()
    counts = await asyncio.gather(*tasks)

    assert sum(right for right, _ in counts) > 0
    assert sum(wrong for _, wrong in counts) > 0


async def test_a_frozen_server_costs_the_caller_its_budget_only(
    server: EmbeddedValkey, store: ValkeyStore
) -> None:
    """A read that gets no answer is left alone, ends as a timeout, and harms no later one."""
    await store.append([event("e1"), event("e2", "u2")])
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        late = [asyncio.create_task(read(store, user)) for user in ("u1", "u2")]
        write = asyncio.create_task(store.append([event("e3")]))
        assert not any([await bounded(task) for task in (*late, write)])
        await asyncio.wait([*late, write], timeout=LONG_S)
        assert all(isinstance(each.exception(), StoreTimeoutError) for each in (*late, write))
    finally:
        os.kill(server.pid, signal.SIGCONT)

    for user in ("u1", "u2"):
        told = await recovered(store, user)
        assert told.state.history["item"][0] == stable_hash(f"item of {user}")


async def test_a_thaw_answers_who_is_still_waiting(
    server: EmbeddedValkey, store: ValkeyStore
) -> None:
    """A server frozen for less than the timeout answers late, and to whom it should."""
    await store.append([event(f"e{n}", f"u{n}") for n in range(8)])
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        tasks = [asyncio.create_task(read(store, f"u{n}")) for n in range(8)]
        assert not await bounded(tasks[0])
    finally:
        os.kill(server.pid, signal.SIGCONT)

    for number, told in enumerate(await asyncio.gather(*tasks)):
        assert told.state.history["item"].tolist() == [stable_hash(f"item of u{number}")]


@pytest.mark.parametrize(
    "garbage",
    [GARBAGE, b"\0" * 64, b"*100000\r\n$-1\r\n", b"$5\r\nab\r\n", b"+OK\r\n", b":1\r\n"],
    ids=["http", "zeros", "endless", "short", "another", "number"],
)
async def test_garbage_is_an_error_not_an_answer(
    behind: ValkeyStore, proxy: ChaosProxy, garbage: bytes
) -> None:
    """Whatever a server answers that is no answer is a `StoreError`; then all is well again."""
    proxy.garbage = garbage
    for _ in range(3):
        task = asyncio.create_task(read(behind))
        await asyncio.wait([task], timeout=LONG_S)
        assert isinstance(task.exception(), StoreError)
    proxy.garbage = b""

    assert len((await recovered(behind)).state.recent) == 1


@pytest.mark.parametrize(
    "garbage",
    [GARBAGE, b"+OK\r\n", b"*0\r\n", b"$-1\r\n"],
    ids=["http", "another", "none", "nil"],
)
async def test_garbage_for_a_write_is_an_error(
    behind: ValkeyStore, proxy: ChaosProxy, garbage: bytes
) -> None:
    """An append whose answer makes no sense is not taken for done, and may be sent again."""
    proxy.garbage = garbage
    task = asyncio.create_task(behind.append([event("e2")]))
    await asyncio.wait([task], timeout=LONG_S)
    assert isinstance(task.exception(), StoreError)
    proxy.garbage = b""

    await recovered(behind)
    async with asyncio.timeout(LONG_S):
        while True:
            with contextlib.suppress(StoreError):
                told = await behind.append([event("e2"), event("e3")])
                break
    assert told.accepted + told.duplicates == 2


async def test_a_slow_server_answers_after_the_budget(
    behind: ValkeyStore, proxy: ChaosProxy
) -> None:
    """60 ms late is late for the caller; the answer still comes, to its own asker."""
    proxy.delay_s = 0.06
    late = asyncio.create_task(read(behind))

    assert not await bounded(late)
    assert len((await late).state.recent) == 1


async def test_a_server_that_hangs_up_is_an_error(store: ValkeyStore, proxy: ChaosProxy) -> None:
    """Connections that are dropped before an answer are errors, and made anew."""
    await store.append([event("e1")])
    async with opened(proxy.url) as fresh:
        proxy.hang_up = True
        with pytest.raises(StoreError):
            await read(fresh)
        proxy.hang_up = False
        assert len((await recovered(fresh)).state.recent) == 1


async def test_reads_given_up_leak_no_connection(behind: ValkeyStore, raw: Any) -> None:
    """However many reads are cancelled, there are never more connections than allowed."""
    for turn in range(200):
        tasks = [asyncio.create_task(read(behind)) for _ in range(READ_CONNECTIONS)]
        for _ in range(turn % 30):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    told = await asyncio.gather(*(read(behind) for _ in range(READ_CONNECTIONS)))
    assert all(len(each.state.recent) == 1 for each in told)
    while len(raw.client_list()) > 1 + READ_CONNECTIONS + WRITE_CONNECTIONS:
        await asyncio.sleep(0.01)
    await behind.close()
    while len(raw.client_list()) > 1:
        await asyncio.sleep(0.01)


async def test_reads_follow_one_another_on_one_connection(
    behind: ValkeyStore, proxy: ChaosProxy, raw: Any
) -> None:
    """A read waits for no other's answer: forty slow ones take one connection and one delay."""
    await read(behind)
    connected = len(raw.client_list())
    proxy.delay_s = 0.06
    told = await asyncio.gather(*(read(behind) for _ in range(40)))
    assert all(isinstance(each, ShopperRead) for each in told)
    assert len(raw.client_list()) == connected


async def test_a_full_memory_refuses_writes_only(store: ValkeyStore, raw: Any) -> None:
    """Out of memory is a `StoreFullError`; what is there can be read; room makes it well."""
    await store.append([event("e1")])
    raw.config_set("maxmemory", 1)
    for call in (
        store.append([event("e2")]),
        store.put_answers([KeptAnswer(ShopperQuery("u1", "b"), b"x", 60)]),
        store.put_profiles({"u1": {"age": 4}}),
    ):
        with pytest.raises(StoreFullError):
            await call
    assert len((await read(store)).state.recent) == 1
    raw.config_set("maxmemory", 0)

    assert await store.append([event("e2")]) == Appended(1, 0)


async def test_a_full_memory_still_forgets(store: ValkeyStore, raw: Any) -> None:
    """Who wants to be forgotten gives memory back, and is not refused for want of it."""
    await store.append([event("e1")])
    raw.config_set("maxmemory", 1)

    with contextlib.suppress(StoreFullError):
        await store.forget("u1")
    raw.config_set("maxmemory", 0)
    await store.forget("u1")

    assert not (await read(store)).state.known


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[tuple[int, str]]:
    """Return the process id and url of a server whose files can be kept from growing.

    A process that may write no more gets a signal; where that is ignored, it gets an error, as
    from a full disk.
    """
    path = tmp_path / "s"
    command = [str(_binary()), "--dir", str(tmp_path), "--port", "0", "--unixsocket", str(path)]
    command += ["--appendonly", "yes", "--appendfsync", "everysec"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, restore_signals=False)
    yield server.pid, f"unix://{path}"
    server.kill()
    server.wait()


def let_files_grow(pid: int, *, to: int) -> None:
    """Bound the size of the files that a process writes."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (to, resource.RLIM_INFINITY))


async def test_a_full_disk_refuses_writes_and_recovers(limited: tuple[int, str]) -> None:
    """A server that cannot write its append-only file refuses; once it can, it takes events."""
    pid, url = limited
    async with opened(url) as store:
        await recovered(store)
        assert await store.append([event("e0")]) == Appended(1, 0)

        let_files_grow(pid, to=0)
        refused: StoreError | None = None
        for number in itertools.count(1):  # the file is written after the answer
            try:
                await store.append([event(f"e{number}")])
            except StoreError as error:
                refused = error
                break
        assert isinstance(refused, StoreFullError)
        assert (await read(store)).state.known

        let_files_grow(pid, to=resource.RLIM_INFINITY)
        async with asyncio.timeout(LONG_S):
            while True:
                with contextlib.suppress(StoreFullError):
                    assert (await store.append([event("after")])).accepted == 1
                    break
                await asyncio.sleep(0.01)


async def test_a_server_without_scripts_gets_them_again(store: ValkeyStore, raw: Any) -> None:
    """SCRIPT FLUSH in the midst of many calls loses none of them."""
    for turn in range(5):
        raw.script_flush()
        appends = (store.append([event(f"{turn}-{n}", f"u{n}")]) for n in range(10))
        assert await asyncio.gather(*appends) == [Appended(1, 0)] * 10

    assert len((await read(store, "u3")).state.recent) == 5


async def test_a_replica_is_read_but_not_written(tmp_path: Path) -> None:
    """A read-only replica serves reads; writes to it are a `StoreFullError`."""
    with (
        EmbeddedValkey(tmp_path / "replica") as replica,
        Redis.from_url(replica.url) as raw,
    ):
        raw.config_set("replica-serve-stale-data", "yes")
        raw.replicaof("127.0.0.1", 1)
        async with opened(replica.url) as reading:
            assert not (await read(reading)).state.known
            with pytest.raises(StoreFullError):
                await reading.append([event("e2")])
            with pytest.raises(StoreFullError):
                await reading.put_answers([KeptAnswer(ShopperQuery("u1", "b"), b"x", 60)])
            raw.replicaof("NO", "ONE")
            assert await reading.append([event("e2")]) == Appended(1, 0)


async def test_a_wrong_password_is_an_error(server: EmbeddedValkey, raw: Any) -> None:
    """No or the wrong password is a `StoreError`, the right one works."""
    raw.config_set("requirepass", "right")
    path = server.url.removeprefix("unix://")

    for url in (f"unix://{path}", f"unix://:wrong@{path}"):
        async with opened(url) as refused:
            for call in (read(refused), refused.append([event("e1")]), refused.ping()):
                with pytest.raises(StoreError):
                    await call
    async with opened(f"unix://:right@{path}") as allowed:
        assert await allowed.append([event("e1")]) == Appended(1, 0)


async def test_no_server_is_an_error_at_once(tmp_path: Path) -> None:
    """Where nobody listens, calls fail before the timeout, and closing works."""
    async with opened(f"unix://{tmp_path}/nobody") as store:
        for call in (read(store), store.append([event("e1")]), store.ping()):
            with pytest.raises(StoreError) as raised:
                await call
            assert not isinstance(raised.value, StoreTimeoutError)


async def test_a_server_that_never_accepts_is_a_timeout(tmp_path: Path) -> None:
    """A socket on which nobody accepts ends as a timeout, not as a wait without end."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        async with opened(f"unix://{path}") as store:
            task = asyncio.create_task(read(store))
            assert not await bounded(task)
            await asyncio.wait([task], timeout=LONG_S)
            assert isinstance(task.exception(), StoreTimeoutError)
