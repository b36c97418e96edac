"""The benchmark runs, measures what it says it measures, and leaves nothing behind."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from time import perf_counter
from urllib.request import Request, urlopen

import pytest
from aiohttp import web
from redis import Redis

from features.online.embedded import EmbeddedValkey
from loadtests.bench import generator, measure
from loadtests.bench.alarm import Alarm
from loadtests.bench.contender import PEERS_PYTHON, Contender, peers
from loadtests.bench.generator import REFUSED, UNANSWERED, OpenLoop, Tally
from loadtests.bench.process_tree import processor_s, resident_mb, tree
from loadtests.bench.servers.work import Work, keys_of
from loadtests.bench.shop import fill, promote, shop_parts
from loadtests.run import LoadTestError, started
from tests.support.service import PATIENT

ROOT = Path(__file__).parents[2]
REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
async def port(aiohttp_server: object) -> int:
    """Return the port of a server that answers in two pieces, every tenth time with an error."""
    asked = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        await request.read()
        response = web.StreamResponse(status=500 if asked % 10 == 0 else 200)
        response.content_length = 10
        await response.prepare(request)
        await response.write(b'"source"')
        await asyncio.sleep(0)
        await response.write(b":1")
        return response

    app = web.Application()
    app.router.add_post("/", answer)
    server = await aiohttp_server(app)  # type: ignore[operator]
    return int(server.port)


async def test_the_open_loop_counts_every_answer(port: int) -> None:
    """Whole answers, and those that are not what was expected."""
    tally = Tally(b'"source":1')
    told = tally.told(await OpenLoop(port, [REQUEST], tally).run(rate=300, seconds=0.3))
    assert told["requests"] >= 10
    assert abs(told["failed"] - told["requests"] // 10) <= 1
    assert 0 < told["p50_ms"] <= told["p99_ms"] <= told["p999_ms"]


async def test_the_open_loop_sends_on_time(port: int) -> None:
    """As many requests as the rate says, whatever comes back."""
    tally = Tally(b"something else")
    await OpenLoop(port, [REQUEST], tally).run(rate=200, seconds=0.5)
    assert 60 < len(tally.answers) < 150
    assert tally.failed == len(tally.answers)


async def test_a_server_that_hangs_up_ends_the_run() -> None:
    """Connections that end are failures, not a hang."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        tally = Tally(b"")
        port = server.sockets[0].getsockname()[1]
        await OpenLoop(port, [REQUEST], tally).run(rate=50, seconds=0.2)
    assert tally.failed == len(tally.answers) > 0
    assert {each.status for each in tally.answers} == {UNANSWERED}


async def test_a_server_that_keeps_silent_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """What never gets an answer is counted, also where it waited for a connection."""
    monkeypatch.setattr(generator, "PATIENCE_S", 0.1)
    monkeypatch.setattr(generator, "MOST_CONNECTIONS", 3)

    ended = asyncio.Semaphore(0)

    async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended.release()

    server = await asyncio.start_server(keep_silent, "127.0.0.1", 0)
    async with server:
        tally = Tally(b"")
        port = server.sockets[0].getsockname()[1]
        await OpenLoop(port, [REQUEST], tally).run(rate=100, seconds=0.3)
        for _ in range(3):
            await ended.acquire()
    assert len(tally.answers) > 3
    assert {each.status for each in tally.answers} == {UNANSWERED}


async def test_requests_wait_for_a_connection(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond so many at once, and all are answered in the end."""
    monkeypatch.setattr(generator, "MOST_CONNECTIONS", 1)
    tally = Tally(b"")
    await OpenLoop(port, [REQUEST], tally).run(rate=1_000, seconds=0.2)
    assert len(tally.answers) > 50
    assert {each.status for each in tally.answers} == {200, 500}


async def test_a_refused_connection_is_a_failed_request(unused_tcp_port: int) -> None:
    """Nobody listens: every request is noted as refused, none is lost."""
    tally = Tally(b"")
    await OpenLoop(unused_tcp_port, [REQUEST], tally).run(rate=100, seconds=0.2)
    assert {each.status for each in tally.answers} == {REFUSED}


def test_the_processor_time_of_children_counts() -> None:
    """A server's workers are part of it."""
    spinning = ["timeout", "20", sys.executable, "-c", "while True: pass"]
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.run({spinning!r})"]
    )
    try:
        deadline = time.monotonic() + 20
        while processor_s(parent.pid) < 0.5 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert processor_s(parent.pid) >= 0.5
        assert len(list(tree(parent.pid))) == 3
        assert resident_mb(parent.pid) > 1
    finally:
        for pid in reversed(list(tree(parent.pid))):
            subprocess.run(["kill", "-9", str(pid)], check=False)
        parent.wait()


def test_a_thread_that_ends_meanwhile_has_no_children() -> None:
    """They come and go in a server while its processes are looked for."""
    is_over = Event()

    def come_and_go() -> None:
        while not is_over.is_set():
            Thread(target=int).start()

    coming = Thread(target=come_and_go)
    coming.start()
    try:
        assert {pid for _ in range(300) for pid in tree(os.getpid())} >= {os.getpid()}
    finally:
        is_over.set()
        coming.join()


@pytest.mark.parametrize(
    ("odd", "loops"),
    [([0], 1), ([100, 40, 1], 3), ([30, 30], 2), ([100, 20, 25], 3), ([90, 80, 70, 60], 4)],
)
def test_a_contender_is_warm_when_it_gets_no_better(
    odd: list[int], loops: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cache fills while loops grow longer; who never answers as expected is not waited for."""
    asked: list[float] = []

    def loop(_: int, __: Path, ___: str, ____: int, seconds: float) -> measure.Closed:
        asked.append(seconds)
        return measure.Closed(100, odd[len(asked) - 1], seconds, "")

    monkeypatch.setattr(measure, "closed_loop", loop)
    measure.warm_up(1, Path("bodies"), "expected", measure.Load(2.0, 1, 1.0))
    assert asked == [1.0, 2.0, 4.0, 8.0][:loops]


def test_shoppers_who_were_not_ranked_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ladder for shoppers of whom nothing is known would be measured under another's name."""
    odd = measure.Closed(5_000, 2_000, 1.0, "segment")
    monkeypatch.setattr(measure, "closed_loop", lambda *_: odd)
    contender = Contender("who own", (), shoppers=(0, 100))
    with pytest.raises(LoadTestError, match="who own: not all shoppers were ranked: segment"):
        measure.rank_all(1, Path("bodies"), contender, measure.Load(1.0, 1, 1.0))


def test_a_busy_machine_is_asked_for_less_until_all_are_ranked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With all connections the ladder answered for ever, and what was measured before was lost."""
    asked: list[int] = []

    def loop(_: int, __: Path, ___: str, connections: int, seconds: float) -> measure.Closed:
        asked.append(connections)
        return measure.Closed(5_000, 2_000 if connections > 8 else 10, seconds, "segment")

    monkeypatch.setattr(measure, "closed_loop", loop)
    measure.rank_all(
        1, Path("bodies"), Contender("x", (), shoppers=(0, 100)), measure.Load(1.0, 32, 1.0)
    )
    assert asked == [32, 16, 8]


@pytest.mark.parametrize("program", ["bench", "faults"])
def test_a_name_that_nobody_has_is_refused(program: str) -> None:
    """An empty table would look as if all had gone well."""
    done = subprocess.run(
        [sys.executable, "-m", f"loadtests.{program}", "--only", "kiled"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "Invalid value for '--only': no name holds 'kiled': " in done.stderr


@pytest.mark.skipif(not PEERS_PYTHON.exists(), reason="peers are not installed: make peers")
@pytest.mark.parametrize("peer", ["FastAPI", "mosec"])
def test_a_peer_answers_with_the_list_of_our_model(peer: str, tmp_path: Path) -> None:
    """The same work as ours: what a peer ranks for a shopper is what our model ranks."""
    home = tmp_path / "home"
    promote(home, shop_parts(300))
    with EmbeddedValkey(tmp_path / "store") as store:
        asyncio.run(fill(store, 300, 5))
        (found,) = [each for each in peers("two towers", store.url, home) if peer in each.name]
        with started(
            found.command, found.environment, tmp_path / "log", None, found.ready
        ) as (port, _):  # fmt: skip
            body = b'{"user_id":"shopper-000003","k":7}'
            url = f"http://127.0.0.1:{port}{measure.PATH}"
            headers = {"Content-Type": "application/json"}
            with urlopen(Request(url, body, headers), timeout=30) as answer:
                told = json.load(answer)
        (expected,) = Work(home).answers([json.loads(body)], _values(store.url, body))
    wanted = json.loads(expected)
    assert (told["user_id"], told["source"], len(told["items"])) == ("shopper-000003", "model", 7)
    assert told["items"] == wanted["items"]


def _values(url: str, body: bytes) -> list[bytes | None]:
    with Redis.from_url(url) as store:
        values: list[bytes | None] = store.mget(keys_of(json.loads(body)))
    assert any(values)
    return values


@pytest.mark.slow
@pytest.mark.timeout(330)
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_every_contender_answers_as_named(tmp_path: Path) -> None:
    """A run of a blink: everybody is measured on the path that its name says."""
    out = tmp_path / "figures"
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.bench", "--seconds", "0.5", "--repeat", "1",
         "--rate", "20", "--connections", "2", "--out", str(out)],
        cwd=ROOT, env=os.environ | PATIENT, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (round_,) = json.loads((out / "bench.json").read_text())
    assert len([name for name in round_["figures"] if name.startswith("cuvee")]) == 6
    assert ("peers are not measured" in done.stderr) is not PEERS_PYTHON.exists()
    assert round_["ceiling_after"]["rps"] > 0
    assert (out / "bench.md").read_text() == done.stdout
    assert "<svg" in (out / "bench.svg").read_text()
    for name, told in round_["figures"].items():
        assert f"| {name}" in done.stdout
        assert told["rps"] > 0
        # A busy machine may make the ladder answer where the model was asked.
        assert told["failed"] < 0.1 * told["rps"], (name, told)
        assert told["cpu_ms"] > 0


@pytest.mark.parametrize("wait_s", [-1.0, 0.0, 50e-6, 0.003])
async def test_an_alarm_is_never_early(wait_s: float) -> None:
    """Wherever the moment lies, and one after the other."""
    with Alarm() as alarm:
        for _ in range(5):
            until = perf_counter() + wait_s
            await alarm.wait(until)
            assert perf_counter() >= until


async def test_an_alarm_lets_others_work() -> None:
    """Who waits holds nobody up."""
    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    working = asyncio.ensure_future(work())
    with Alarm() as alarm:
        await alarm.wait(perf_counter() + 0.02)
    working.cancel()
    assert turns > 1
