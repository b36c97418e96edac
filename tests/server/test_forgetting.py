"""Forgetting a shopper as far as serving goes: nothing that training knew of them is used."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from features.identity.forgotten import FOLDER, LIST, ForgottenList
from features.online import keys
from features.online.valkey_store import ValkeyStore
from features.stream.event_stream import EventStream, Group
from features.stream.repair import Repair
from models.bundle import write_bundle
from models.parts import FORGOTTEN_MS
from models.registry import Registry
from server.keys import LAST_KNOWN
from tests.support.bundles import small_parts
from tests.support.service import ADMIN, Client, Start, ask, event, send

KNOWN = "amélie"
"""Training put her into `type=Red`."""

AWAY = "redis://127.0.0.1:1"


async def segment_of(service: Client, user_id: str = KNOWN) -> str:
    """Return the segment that a shopper without events gets."""
    answer: str = (await ask(service, user_id))["segment"]
    return answer


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(30):
        while not await holds():
            await asyncio.sleep(0.02)


async def forget(service: Client, user_id: str = KNOWN) -> int:
    """Return the status of DELETE."""
    return (await service.delete(f"/v1/users/{user_id}", headers=ADMIN)).status


async def test_what_training_knew_is_used_no_more(service: Client) -> None:
    """At once in the process that was asked; what it knew of others is."""
    assert await segment_of(service) == "type=Red"

    assert await forget(service) == 204

    assert await segment_of(service) == "global"
    assert await segment_of(service, "bruno") == "type=White"
    shown = await (await service.get(f"/v1/users/{KNOWN}", headers=ADMIN)).json()
    assert shown["segment"] == "global"


async def test_other_processes_of_the_home_follow(start: Start) -> None:
    """Model and memory, within a second or so."""
    one, other = await start(), await start()
    await send(other, event(KNOWN, "wine-1"))
    await ask(other, KNOWN)
    assert other.app is not None
    last_known = other.app[LAST_KNOWN]
    assert last_known.recall(KNOWN).segment is not None

    assert await forget(one) == 204

    async def followed() -> bool:
        return await segment_of(other) == "global"

    await until(followed)

    async def cleared() -> bool:
        return KNOWN not in last_known.users()

    await until(cleared)


async def test_memory_goes_without_a_request(start: Start) -> None:
    """A shopper who never asks again, with a store that is away, is not recalled either."""
    one, other = await start(), await start()
    await send(other, event(KNOWN, "wine-1"), event("bruno", "wine-1"))
    await ask(other, KNOWN)
    await ask(other, "bruno")
    assert other.app is not None
    last_known = other.app[LAST_KNOWN]

    await forget(one)

    async def cleared() -> bool:
        return last_known.users() == ["bruno"]

    await until(cleared)


async def test_it_holds_after_a_restart_and_where_the_store_is_away(
    home: Path, start: Start
) -> None:
    """The list is a file: no store is asked."""
    ForgottenList(home).add({KNOWN: 1})
    service = await start(CUVEE_REDIS_URL=AWAY)
    answer = await ask(service, KNOWN)
    assert (answer["source"], answer["segment"]) == ("global", "global")
    assert (await ask(service, "bruno"))["segment"] == "type=White"


@pytest.mark.parametrize("knew", [False, True])
async def test_it_holds_for_models_to_come(home: Path, start: Start, knew: bool) -> None:
    """Of an older bundle that is promoted; one that was trained since knows whom it may know."""
    service = await start()
    await forget(service)
    latest_ms = ForgottenList(home).read().latest_ms
    parts = small_parts(seed=8)
    if knew:
        parts = replace(parts, parameters={FORGOTTEN_MS: latest_ms})
    version = write_bundle(home / "models", parts)
    Registry(home).promote(version)

    async def swapped() -> bool:
        return bool((await ask(service, KNOWN))["model_version"] == version)

    await until(swapped)
    assert await segment_of(service) == ("type=Red" if knew else "global")


async def test_the_ladder_of_a_refused_bundle_forgets_too(home: Path, start: Start) -> None:
    """What is whole of it still serves, without them."""
    ForgottenList(home).add({KNOWN: 1})
    version = Registry(home).production()
    assert version is not None
    (home / "models" / version / "tower.onnx").write_bytes(b"broken")
    service = await start()
    assert (await ask(service, KNOWN))["segment"] == "global"
    assert (await ask(service, "bruno"))["segment"] == "type=White"


async def test_the_one_request_to_try_is_of_nobody_forgotten(home: Path, start: Start) -> None:
    """The example shopper of a bundle is a shopper."""
    registry = Registry(home)
    version = registry.production()
    assert version is not None
    model = registry.load(version)
    assert model.example_user == KNOWN
    forgotten = ForgottenList(home)
    forgotten.add({"bruno": 1})
    model.forget(forgotten.read())
    assert model.example_user == KNOWN
    forgotten.add({KNOWN: 1})
    model.forget(forgotten.read())
    assert model.example_user is None
    assert await segment_of(await start()) == "global"


async def test_a_list_that_cannot_be_read_forgets_everybody(home: Path, start: Start) -> None:
    """Nobody is served by what may have been forgotten; when it can be read again others are."""
    (home / FOLDER).mkdir()
    (home / FOLDER / LIST).mkdir()
    service = await start()
    assert await segment_of(service) == await segment_of(service, "bruno") == "global"

    (home / FOLDER / LIST).rmdir()

    async def back() -> bool:
        return await segment_of(service, "bruno") == "type=White"

    await until(back)


async def test_a_forgetting_that_cannot_be_noted_is_not_done(
    home: Path, start: Start, redis_url: str
) -> None:
    """503, and nothing is lost: the consumer notes it once the disk takes it."""
    service = await start()
    (home / FOLDER).write_text("in the way")
    assert await forget(service) == 503

    (home / FOLDER).unlink()
    await mended(home, redis_url)

    assert ForgottenList(home).read().until([KNOWN])


async def test_a_process_that_died_behind_the_tombstone_is_made_good(
    home: Path, start: Start, redis_url: str
) -> None:
    """Only the stream has it: its consumer does the rest, and serving follows."""
    service = await start()
    await send(service, event(KNOWN, "wine-1"))
    with Redis.from_url(redis_url) as raw:
        raw.xadd(keys.STREAM, {"forget": KNOWN})
    assert ForgottenList(home).read().until([KNOWN]) == {}

    await mended(home, redis_url)

    async def followed() -> bool:
        return await segment_of(service) == "global"

    await until(followed)


async def mended(home: Path, redis_url: str) -> None:
    """Let a consumer of group `online` take what is in the stream."""
    store = ValkeyStore(redis_url)
    try:
        stream = EventStream(store.client, Group.ONLINE, "c")
        await stream.join()
        told: Any = await stream.read(100, 10)
        await Repair(store, ForgottenList(home)).take(told.entries)
    finally:
        await store.close()
