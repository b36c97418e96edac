"""The whole service while the store is killed, frozen, late or mad: always a list, in time."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from features.online.embedded import EmbeddedValkey
from loadtests.faults.proxy import GARBAGE, ChaosProxy
from tests.support.service import Client, Start, ask, event, ids, send

DEADLINE = {"CUVEE_DEADLINE_MS": "1000", "CUVEE_FEATURE_TIMEOUT_MS": "50"}
"""The feature budget is the product's; the deadline leaves room for a busy machine."""


async def until(service: Client, user_id: str, holds: Callable[[dict[str, Any]], bool]) -> Any:
    """Ask until an answer satisfies `holds`; every answer has items, whatever is broken."""
    async with asyncio.timeout(30):
        while True:
            answer = await ask(service, user_id)
            assert answer["items"]
            if holds(answer):
                return answer
            await asyncio.sleep(0.02)


def personal(answer: dict[str, Any]) -> bool:
    """Tell whether the model answered, perhaps through the cache."""
    return answer["source"] in {"model", "cache"}


def because(*reasons: str) -> Callable[[dict[str, Any]], bool]:
    """Tell whether the answer is a degraded one for one of `reasons`."""
    return lambda answer: (
        answer["degraded"]
        and answer["reason"] in reasons
        and answer["source"] in {"segment", "global"}
    )


async def known_shopper(service: Client) -> str:
    """Make `u1` known by a click, and see the model answer."""
    popular = await (await service.get("/v1/popular")).json()
    await send(service, event("u1", ids(popular)[0]))
    await until(service, "u1", personal)
    return "u1"


@pytest.fixture
async def proxy(valkey: EmbeddedValkey, tmp_path: Path) -> AsyncIterator[ChaosProxy]:
    """Return a proxy in front of a real server."""
    socket = Path(valkey.url.removeprefix("unix://"))
    async with ChaosProxy(socket, tmp_path / "proxy.sock") as proxy:
        yield proxy


async def test_slow_by_60_ms(start: Start, proxy: ChaosProxy) -> None:
    """A store that misses the feature budget costs the personal list, not the answer."""
    service = await start(CUVEE_REDIS_URL=proxy.url, **DEADLINE)
    user = await known_shopper(service)
    proxy.delay_s = 0.06
    await until(service, user, because("feature_timeout"))
    proxy.delay_s = 0
    await until(service, user, personal)


async def test_what_was_done_since_the_last_list_is_hidden(start: Start, proxy: ChaosProxy) -> None:
    """Of shoppers who never had one, too, after a login, and though the store takes no event."""
    service = await start(CUVEE_REDIS_URL=proxy.url, **DEADLINE)
    user = await known_shopper(service)
    done = ids(await ask(service, user, k=4))
    kinds = ("not_interested", "purchase", "add_to_cart", "rating")
    for each in (user, "new", "session:s"):
        told = zip(done, kinds, strict=True)
        await send(service, *(event(each, item, kind, value=1.0) for item, kind in told))
    merged = await service.post("/v1/users/anna/merge", json={"from": "session:s"})
    assert merged.status == 200
    proxy.garbage = GARBAGE
    for each in (user, "new", "anna"):
        await until(service, each, because("feature_error", "feature_timeout"))
        shown = ids(await ask(service, each, k=100))
        assert shown
        assert not {*done} & {*shown}
        bought = {"events": [event(each, shown[0], "purchase")]}
        assert (await service.post("/v1/events", json=bought)).status == 503
        assert ids(await ask(service, each, k=100)) == shown[1:]


async def test_who_logs_in_while_the_store_is_away(start: Start, proxy: ChaosProxy) -> None:
    """Is not shown what they just bought: as a session beside their id, nor once that is theirs."""
    service = await start(CUVEE_REDIS_URL=proxy.url, **DEADLINE)
    await known_shopper(service)
    proxy.garbage = GARBAGE
    await until(service, "u1", because("feature_error", "feature_timeout"))
    item = ids(await ask(service, "anna", k=1))[0]
    bought = {"events": [event("session:s", item, "purchase")]}
    assert (await service.post("/v1/events", json=bought)).status == 503
    assert item not in ids(await ask(service, "anna", session_id="s"))
    assert item in ids(await ask(service, "anna"))
    merged = await service.post("/v1/users/anna/merge", json={"from": "session:s"})
    assert merged.status == 503
    assert item not in ids(await ask(service, "anna"))
    assert item not in ids(await ask(service, "session:s"))


async def test_garbage(start: Start, proxy: ChaosProxy) -> None:
    """A store that talks nonsense is not believed, and believed again when it talks sense."""
    service = await start(CUVEE_REDIS_URL=proxy.url, **DEADLINE)
    user = await known_shopper(service)
    proxy.garbage = GARBAGE
    await until(service, user, because("feature_error", "feature_timeout"))
    proxy.garbage = b""
    await until(service, user, personal)


async def test_hanging_up(start: Start, proxy: ChaosProxy) -> None:
    """A store that closes every connection is an error, at once and not after a wait."""
    service = await start(CUVEE_REDIS_URL=proxy.url, **DEADLINE)
    user = await known_shopper(service)
    proxy.garbage = b"-ERR out of order\r\n"
    await until(service, user, because("feature_error", "feature_timeout"))
    proxy.garbage = b""
    await until(service, user, personal)


async def test_a_lost_answer(start: Start, proxy: ChaosProxy) -> None:
    """After it every command would get the answer before its own; the connection begins anew."""
    service = await start(CUVEE_REDIS_URL=proxy.url, **DEADLINE)
    user = await known_shopper(service)
    proxy.lose = 1
    await until(service, user, because("feature_timeout"))
    await until(service, user, personal)


async def test_frozen(start: Start, tmp_path: Path) -> None:
    """A stopped server is late; when it goes on, so do personal lists."""
    with EmbeddedValkey(tmp_path / "own") as server:
        service = await start(CUVEE_REDIS_URL=server.url, **DEADLINE)
        user = await known_shopper(service)
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            await until(service, user, because("feature_timeout"))
            answers = await asyncio.gather(*(ask(service, user) for _ in range(50)))
            assert all(because("feature_timeout")(answer) for answer in answers)
        finally:
            os.kill(pid, signal.SIGCONT)
        await until(service, user, personal)


async def test_killed_and_started_again(start: Start, tmp_path: Path) -> None:
    """A killed server is an error; what it knew is there when it is back."""
    server = EmbeddedValkey(tmp_path / "own").start()
    service = await start(CUVEE_REDIS_URL=server.url, **DEADLINE)
    user = await known_shopper(service)
    pid = server.pid
    assert pid is not None
    await asyncio.sleep(1.1)  # the append-only file is synced every second
    os.kill(pid, signal.SIGKILL)
    await until(service, user, because("feature_error", "feature_timeout"))
    refused = await service.post("/v1/events", json={"events": [event(user, "x")]})
    assert (refused.status, "Retry-After" in refused.headers) == (503, True)
    server.stop()
    with EmbeddedValkey(tmp_path / "own"):
        await until(service, user, personal)


async def test_clients_that_disconnect(start: Start, proxy: ChaosProxy) -> None:
    """Shoppers who leave take nothing from those who stay, and nobody gets another's list."""
    service = await start(CUVEE_REDIS_URL=proxy.url, CUVEE_FEATURE_TIMEOUT_MS="1000")
    popular = ids(await (await service.get("/v1/popular")).json())
    users = [f"u{n}" for n in range(20)]
    await send(service, *(event(user, popular[n % 5]) for n, user in enumerate(users)))
    expected = {user: ids(await ask(service, user)) for user in users}
    proxy.delay_s = 0.005
    for _ in range(5):
        asked = [asyncio.ensure_future(ask(service, user)) for user in users]
        await asyncio.sleep(0.003)
        for task in asked[::2]:
            task.cancel()
        for user, task in list(zip(users, asked, strict=True))[1::2]:
            answer = await task
            assert (answer["user_id"], ids(answer)) == (user, expected[user])
        await asyncio.gather(*asked, return_exceptions=True)


async def test_full(start: Start, tmp_path: Path) -> None:
    """Where there is no room for events they are refused for now; lists go on, personal too."""
    with EmbeddedValkey(tmp_path / "own") as server, Redis.from_url(server.url) as console:
        service = await start(CUVEE_REDIS_URL=server.url)
        user = await known_shopper(service)
        console.config_set("maxmemory", 1)
        refused = await service.post("/v1/events", json={"events": [event(user, "x")]})
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        assert personal(await ask(service, user))
        metrics = await (await service.get("/metrics")).text()
        assert 'cuvee_errors_total{kind="store_full"} 1.0' in metrics
        console.config_set("maxmemory", 0)
        await send(service, event(user, "x"))
