"""The model registry over HTTP."""

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from models.bundle import write_bundle
from models.registry import Registry
from tests.support.bundles import small_parts
from tests.support.limits import no_room
from tests.support.service import ADMIN, Client, Start


@pytest.fixture
def loads() -> Iterator[list[str]]:
    """Return the versions that were loaded."""
    told: list[str] = []
    load = Registry.load

    def noted(registry: Registry, version: str) -> object:
        told.append(version)
        return load(registry, version)

    with patch.object(Registry, "load", noted):
        yield told


@pytest.mark.parametrize("how", ["at_once", "canary"])
async def test_what_is_promoted_is_loaded_once(
    service: Client, home: Path, loads: list[str], how: str
) -> None:
    """What the registry has tried serves, or is on trial: a core is shared with who asks."""
    second = write_bundle(home / "models", small_parts())
    loads.clear()  # the one that serves
    where = f"/v1/models/{second}/promote"
    told = await (await service.post(where, headers=ADMIN, json={"how": how})).json()
    assert second in (told["serving"], (told["canary"] or {}).get("version"))
    assert loads == [second]


async def test_a_model_is_loaded_in_steps_beside_answers(start: Start, home: Path) -> None:
    """Not where nobody is answered yet: a start is as quick as it can be."""
    with patch("models.pauses.sleep") as slept:
        service = await start()
        slept.assert_not_called()
        second = write_bundle(home / "models", small_parts())
        assert (await service.post(f"/v1/models/{second}/promote", headers=ADMIN)).status == 200
        slept.assert_called()


async def test_a_damaged_model_is_refused_before_anything_moves(
    service: Client, home: Path
) -> None:
    """The one that serves serves on."""
    second = write_bundle(home / "models", small_parts())
    (home / "models" / second / "ranker.onnx").write_bytes(b"damaged")
    answer = await service.post(f"/v1/models/{second}/promote", headers=ADMIN)
    assert answer.status == 409
    told = await (await service.get("/v1/models", headers=ADMIN)).json()
    assert told["serving"] == told["production"] != second


async def test_of_two_promotions_at_once_one_wins(service: Client, home: Path) -> None:
    """Who was overtaken while a model was loaded changes nothing, and is told by whom."""
    registry = Registry(home)
    second, third = (write_bundle(home / "models", small_parts(items)) for items in (31, 32))
    first, load = registry.production(), Registry.load

    def overtaken(self: Registry, version: str) -> object:
        if version == second and registry.production() == first:
            registry.promote(third, who="ann")
        return load(self, version)

    with patch.object(Registry, "load", overtaken):
        answer = await service.post(f"/v1/models/{second}/promote", headers=ADMIN)
    assert answer.status == 409
    assert (await answer.json())["detail"].startswith("ann was quicker (promote, ")
    assert (registry.production(), registry.previous()) == (third, first)
    assert (await service.post(f"/v1/models/{third}/promote", headers=ADMIN)).status == 200


async def test_a_full_disk_is_no_conflict(service: Client, home: Path) -> None:
    """What it does not take now it may take later; the one that serves serves on."""
    registry = Registry(home)
    first, second = registry.production(), write_bundle(home / "models", small_parts(31))
    with no_room():
        answer = await service.post(f"/v1/models/{second}/promote", headers=ADMIN)
    assert (answer.status, int(answer.headers["Retry-After"]) > 0) == (503, True)
    assert "aliases: File too large" in (await answer.json())["detail"]
    assert registry.production() == first
    assert (await service.post(f"/v1/models/{second}/promote", headers=ADMIN)).status == 200


async def test_a_model_of_a_newer_program_is_told_as_one(service: Client, home: Path) -> None:
    """It is there: what is wrong with it is told, by the words of `python -m models`."""
    second = write_bundle(home / "models", small_parts())
    manifest = home / "models" / second / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"layout": 2', b'"layout": 3'))
    answer = await service.post(f"/v1/models/{second}/promote", headers=ADMIN)
    assert answer.status == 409
    told = (await answer.json())["detail"]
    assert (
        told == "manifest.json: expected layout 2, got 3: written by a newer program, upgrade this"
    )


async def test_models_are_listed_with_the_figures_that_compare_them(service: Client) -> None:
    """What only the report tells is left out: it would be most of the answer."""
    told = await (await service.get("/v1/models", headers=ADMIN)).json()
    (model,) = told["models"]
    assert model["version"] == told["production"] == told["serving"]
    assert model["metrics"] == {"model": {"ndcg@10": 0.25}, "popularity": {"ndcg@10": 0.125}}
