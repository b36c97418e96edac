"""Stock and prices of the last delivery, on every rung, without a new model."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from features.errors import StoreError
from features.online.embedded import EmbeddedValkey
from features.shelf import put_shelf, shelf_path
from models.bundle import write_bundle
from models.registry import Registry
from server import keys
from tests.support.bundles import small_parts
from tests.support.service import ADMIN, Client, Start, ask, event, ids, send

AWAY = "redis://127.0.0.1:1"


@pytest.fixture
def redis_url(valkey: EmbeddedValkey) -> str:
    """Return one store: nothing of the shelf is in it."""
    return valkey.url


def deliver(home: Path, told: Mapping[str, tuple[float, bool]]) -> None:
    """Tell of items what they cost and whether they are in stock."""
    shelf_path(home).parent.mkdir(exist_ok=True)
    names = list(told)
    prices = np.array([told[each][0] for each in names], np.float32)
    put_shelf(home, names, prices, np.array([told[each][1] for each in names]))


async def followed(service: Client) -> None:
    """See the service look at the shelf."""
    await service.app[keys.MODELS].refresh()


async def popular(service: Client, **fields: Any) -> list[str]:
    """Return what a stranger is shown."""
    return ids(await ask(service, "nobody", k=5, **fields))


async def test_what_is_sold_out_is_gone_at_once(start: Start, home: Path) -> None:
    """From what is ranked, cached, popular and similar; and it is back when it is."""
    service = await start()
    first, *_ = await popular(service)
    await send(service, event("u1", first))
    answer = await ask(service, "u1", k=5)
    assert answer["source"] == "model"
    gone = {first: (9.0, False)} | dict.fromkeys(ids(answer), (9.0, False))
    async with asyncio.timeout(10):
        while (await ask(service, "u1", k=5))["source"] != "cache":
            await asyncio.sleep(0.01)
    deliver(home, gone)
    await followed(service)
    for user in ("u1", "nobody"):
        assert gone.keys().isdisjoint(ids(await ask(service, user, k=5)))
    assert (await ask(service, "u1", k=5))["model_version"] == answer["model_version"]
    assert gone.keys() & set(await popular(service, filters={"in_stock": False}))
    similar = await (await service.get(f"/v1/items/{first}/similar")).json()
    assert gone.keys().isdisjoint(ids(similar))
    deliver(home, dict.fromkeys(gone, (9.0, True)))
    await followed(service)
    assert ids(await ask(service, "u1", k=5)) == ids(answer)


async def test_without_a_store(start: Start, home: Path) -> None:
    """The ladder goes by it, too, from the start on."""
    first, *_ = await popular(await start())
    deliver(home, {first: (9.0, False)})
    service = await start(CUVEE_REDIS_URL=AWAY)
    assert first not in await popular(service)


async def test_prices_are_those_of_the_delivery(start: Start, home: Path) -> None:
    """A filter by price lets through what it costs now."""
    service = await start()
    first, second, *_ = await popular(service)
    deliver(home, {first: (9_999.0, True), second: (9_998.0, True)})
    await followed(service)
    assert set(await popular(service, filters={"price_min": 9_998})) == {first, second}
    assert first not in await popular(service, filters={"price_max": 9_998})


async def test_rules_go_by_it(start: Start, home: Path) -> None:
    """What they show is what is in stock now."""
    (home / "rules.yaml").write_text("show: {in_stock: true}\n")
    service = await start(CUVEE_RULES=str(home / "rules.yaml"))
    first, *_ = await popular(service, filters={"in_stock": False})
    deliver(home, {first: (9.0, False)})
    await followed(service)
    assert first not in await popular(service, filters={"in_stock": False})


async def test_what_is_on_trial_and_what_is_kept_go_by_it(start: Start, home: Path) -> None:
    """A trial goes on with it; to roll back is to load the model before anew."""
    service = await start(CUVEE_CACHE_TTL_S="0")
    registry, models = Registry(home), service.app[keys.MODELS]
    first = str(registry.production())
    second = write_bundle(home / "models", small_parts(31))
    promoted = await service.post(f"/v1/models/{second}/promote", headers=ADMIN)
    assert promoted.status == 200
    third = write_bundle(home / "models", small_parts(32))
    tried = await service.post(f"/v1/models/{third}/promote", headers=ADMIN, json={"how": "canary"})
    assert tried.status == 200
    assert models.kept is not None
    best, *_ = await popular(service)
    deliver(home, {best: (9.0, False)})
    await followed(service)
    assert models.model is not None
    assert models.trial is not None
    assert (models.model.version, models.trial.model.version) == (second, third)
    assert models.trial.model.shelf == models.model.shelf is not None
    assert models.kept.version == first
    assert (await service.post("/v1/models/rollback", headers=ADMIN)).status == 200
    assert models.model.version == first
    assert best not in await popular(service)


async def test_what_cannot_be_read_changes_nothing(
    start: Start, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told once, and the next delivery counts."""
    service = await start()
    first, *rest = await popular(service)
    shelf_path(home).parent.mkdir()
    shelf_path(home).write_bytes(b"rubbish")
    for _ in range(3):
        await followed(service)
    assert await popular(service) == [first, *rest]
    assert caplog.text.count("stock and prices are as they were") == 1
    deliver(home, {first: (9.0, False)})
    await followed(service)
    assert first not in await popular(service)


async def test_what_failed_once_is_read_again(
    start: Start, home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """There may be no descriptor left for a moment; the next delivery may be a day away."""
    service = await start()
    first, *_ = await popular(service)
    deliver(home, {first: (9.0, False)})
    with monkeypatch.context() as patched:
        full = StoreError("shelf.bin: Too many open files")
        patched.setattr("server.current_model.read_shelf", Mock(side_effect=full))
        for _ in range(3):
            await followed(service)
    assert caplog.text.count("Too many open files") == 1
    await followed(service)
    assert first not in await popular(service)


@pytest.mark.parametrize("is_there_another", [True, False])
async def test_while_production_cannot_be_loaded(
    start: Start, home: Path, *, is_there_another: bool
) -> None:
    """What serves in its place goes by the shelf, too: the model before, or what is popular."""
    registry = Registry(home)
    if is_there_another:
        registry.promote(write_bundle(home / "models", small_parts(31)))
    (home / "models" / str(registry.production()) / "tower.onnx").write_bytes(b"broken")
    service = await start()
    model = service.app[keys.MODELS].model
    assert model is not None
    assert model.is_whole == is_there_another
    first, *_ = await popular(service)
    for told in (False, True):
        deliver(home, {first: (9.0, told)})
        await followed(service)
        assert (first in await popular(service)) == told


async def test_it_is_looked_at_all_the_time(start: Start, home: Path) -> None:
    """Nobody needs to tell a service."""
    service = await start()
    first, *_ = await popular(service)
    deliver(home, {first: (9.0, False)})
    async with asyncio.timeout(30):
        while first in await popular(service):
            await asyncio.sleep(0.05)
