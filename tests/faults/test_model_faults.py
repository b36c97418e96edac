"""The whole service while its model is missing, damaged, swapped or failing."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from features.feature_set import FeatureSet
from models.bundle import write_bundle
from models.model import Model
from models.registry import Registry
from models.signature import SigningKey, make_keys
from tests.support.bundles import small_parts
from tests.support.service import ADMIN, Client, Start, ask, event, ids, send


@pytest.fixture
def registry(home: Path) -> Registry:
    """Return the registry of the home."""
    return Registry(home)


def another(home: Path) -> str:
    """Write a second bundle and return its version."""
    return write_bundle(home / "models", small_parts(items=31))


def flip(path: Path) -> None:
    """Flip one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


async def admin(service: Client, path: str) -> tuple[int, dict[str, Any]]:
    """Post to an admin route."""
    answer = await service.post(path, headers=ADMIN)
    return answer.status, await answer.json(content_type=None)


async def test_no_model_at_all(start: Start, tmp_path: Path) -> None:
    """Without any model the service is up, not ready, and says what to do; then it serves."""
    empty = tmp_path / "empty"
    service = await start(CUVEE_HOME=str(empty))
    assert (await service.get("/healthz")).status == 200
    assert (await service.get("/readyz")).status == 503
    answer = await service.post("/v1/recommendations", json={"user_id": "u"})
    assert (answer.status, "Retry-After" in answer.headers) == (503, True)
    assert "models train" in (await answer.json(content_type=None))["detail"]
    Registry(empty).promote(write_bundle(empty / "models", small_parts()))
    async with asyncio.timeout(20):
        while (await service.get("/readyz")).status != 200:
            await asyncio.sleep(0.05)
    assert (await ask(service, "u"))["items"]


async def detail(service: Client) -> str:
    """Ask for a list, see none, and return why."""
    answer = await service.post("/v1/recommendations", json={"user_id": "u"})
    assert answer.status == 503
    told: str = (await answer.json(content_type=None))["detail"]
    return told


async def test_a_model_that_is_not_trusted_is_not_called_none(
    start: Start, registry: Registry, tmp_path: Path
) -> None:
    """There is one, and why it does not serve is told; one that is signed serves."""
    version = registry.production()
    assert version is not None
    private, public, _ = make_keys(tmp_path / "keys")
    service = await start(CUVEE_MODEL_PUBLIC_KEY=str(public))
    told = await detail(service)
    assert told.startswith(f"there is no model that can serve: {version} was refused: ")
    assert told.endswith(f"{version} is not signed, CUVEE_MODEL_PUBLIC_KEY is set")
    key = SigningKey.of_file(private)
    registry.promote(write_bundle(registry.directory, small_parts(31), key=key))
    async with asyncio.timeout(20):
        while (await service.get("/readyz")).status != 200:
            await asyncio.sleep(0.05)


async def test_a_model_that_is_damaged_is_not_called_none(
    start: Start, home: Path, registry: Registry
) -> None:
    """The file is named, where it lies is not."""
    version = registry.production()
    assert version is not None
    flip(registry.directory / version / "popularity.npy")
    told = await detail(await start())
    assert f"{version} was refused: popularity.npy: changed since it was written" in told
    assert str(home) not in told


async def test_promotion_and_rollback(service: Client, home: Path, registry: Registry) -> None:
    """A promoted model serves the very next request, and so does the one rolled back to."""
    first, second = registry.production(), another(home)
    status, told = await admin(service, f"/v1/models/{second}/promote")
    assert (status, told["serving"], told["previous"]) == (200, second, first)
    assert (await ask(service, "u"))["model_version"] == second
    status, told = await admin(service, "/v1/models/rollback")
    assert (status, told["serving"]) == (200, first)
    assert (await ask(service, "u"))["model_version"] == first


async def test_promotion_elsewhere_is_followed(
    service: Client, home: Path, registry: Registry
) -> None:
    """What the command line promotes is served without a restart."""
    second = another(home)
    registry.promote(second)
    async with asyncio.timeout(20):
        while (await ask(service, "u"))["model_version"] != second:
            await asyncio.sleep(0.05)


async def test_no_request_fails_while_models_are_swapped(service: Client, home: Path) -> None:
    """Under load, promotions and rollbacks cost no answer and mix up none."""
    second = another(home)
    known = ids(await (await service.get("/v1/popular")).json())
    await send(service, event("u1", known[0]))
    stop = asyncio.Event()

    async def shop() -> set[str]:
        seen = set()
        while not stop.is_set():
            answer = await ask(service, "u1")
            assert answer["source"] in {"model", "cache"}
            seen.add(answer["model_version"])
        return seen

    shoppers = [asyncio.ensure_future(shop()) for _ in range(8)]
    status, _ = await admin(service, f"/v1/models/{second}/promote")
    assert status == 200
    for _ in range(4):
        status, _ = await admin(service, "/v1/models/rollback")
        assert status == 200
    stop.set()
    seen = set().union(*await asyncio.gather(*shoppers))
    assert second in seen


async def test_unknown_and_damaged_models_are_not_promoted(service: Client, home: Path) -> None:
    """404 for one that is not there, 409 for one with a flipped bit; the old one serves on."""
    serving = (await ask(service, "u"))["model_version"]
    assert (await admin(service, "/v1/models/nothing/promote"))[0] == 404
    assert (await admin(service, "/v1/models/..%2F..%2Fetc/promote"))[0] == 404
    second = another(home)
    damaged = home / "models" / second / "popularity.npy"
    flip(damaged)
    status, told = await admin(service, f"/v1/models/{second}/promote")
    assert (status, damaged.name in told["detail"]) == (409, True)
    assert (await ask(service, "u"))["model_version"] == serving


async def test_a_damaged_production_model_leaves_the_one_before(
    start: Start, home: Path, registry: Registry
) -> None:
    """A service that starts over a damaged bundle serves the newest that can be loaded."""
    first, second = registry.production(), another(home)
    registry.promote(second)
    flip(next((home / "models" / second).glob("*.onnx")))
    service = await start()
    assert (await ask(service, "u"))["model_version"] == first
    metrics = await (await service.get("/metrics")).text()
    assert 'cuvee_errors_total{kind="bundle"} 1.0' in metrics


@pytest.mark.parametrize("damage", ["tower.onnx", "outputs.npy", "schema"])
async def test_with_nothing_that_ranks_the_ladder_answers(
    start: Start, home: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """The only bundle cannot rank: its popular items serve, and say why, until one that can."""
    with monkeypatch.context() as patch:
        if damage == "schema":
            patch.setattr("models.bundle.FEATURE_SET", FeatureSet(()))
        else:
            flip(registry.directory / str(registry.production()) / damage)
        service = await start()
    assert (await service.get("/readyz")).status == 200
    known = ids(await (await service.get("/v1/popular")).json())
    await send(service, event("u1", known[0], "purchase"))
    answer = await ask(service, "u1")
    assert answer["source"] in {"segment", "global"}
    assert (answer["reason"], answer["degraded"]) == ("model_error", True)
    assert known[0] not in ids(answer)
    assert len(ids(answer)) == 10
    second = another(home)
    registry.promote(second)
    async with asyncio.timeout(20):
        while (await ask(service, "u1"))["source"] not in {"model", "cache"}:
            await asyncio.sleep(0.05)
    assert (await ask(service, "u1"))["model_version"] == second


async def test_a_bundle_that_is_mended_serves_whole(
    start: Start, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was refused is tried again, even if part of it serves."""
    monkeypatch.setattr("server.current_model.RETRY_S", 0.1)
    path = registry.directory / str(registry.production()) / "tower.onnx"
    whole = path.read_bytes()
    flip(path)
    service = await start()
    await send(service, event("u1", ids(await (await service.get("/v1/popular")).json())[0]))
    assert (await ask(service, "u1"))["reason"] == "model_error"
    path.write_bytes(whole)
    async with asyncio.timeout(20):
        while (await ask(service, "u1"))["source"] != "model":
            await asyncio.sleep(0.05)


async def test_nothing_to_roll_back_to(service: Client) -> None:
    """409 where there is no previous model."""
    assert (await admin(service, "/v1/models/rollback"))[0] == 409


@pytest.mark.parametrize("part", ["rank", "batch"])
async def test_a_model_that_fails_is_answered_for(
    service: Client, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Whatever the model raises, the shopper's segment answers, and says so."""
    known = ids(await (await service.get("/v1/popular")).json())
    await send(service, event("u1", known[0]))

    def broken(*_: object) -> Any:
        raise RuntimeError("no such tensor")

    with monkeypatch.context() as patch:
        patch.setattr(Model, part, broken)
        answer = await ask(service, "u1")
    assert (answer["reason"], answer["degraded"]) == ("model_error", True)
    assert answer["items"]
    assert (await ask(service, "u1"))["source"] == "model"


async def test_a_model_that_is_late_is_answered_for(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that misses the deadline costs the personal list, not the answer."""
    import threading

    service = await start(CUVEE_DEADLINE_MS="150", CUVEE_FEATURE_TIMEOUT_MS="50")
    known = ids(await (await service.get("/v1/popular")).json())
    await send(service, event("u1", known[0]))
    go_on = threading.Event()

    def late(*_: object) -> Any:
        go_on.wait(30)
        return [None]

    with monkeypatch.context() as patch:
        patch.setattr(Model, "rank", late)
        patch.setattr("server.inference.INLINE_BELOW_S", 0.0)
        answer = await ask(service, "u1")
        go_on.set()
    assert (answer["reason"], answer["degraded"]) == ("deadline", True)
    assert answer["items"]
