"""What the service says of itself when it is up."""

import shutil
from pathlib import Path

from models.bundle import write_bundle
from models.registry import Registry
from server import keys
from server.announcement import announcement
from tests.support.bundles import small_parts
from tests.support.service import Client, Start, event, send


async def _told(client: Client) -> str:
    app = client.app
    assert app is not None
    return await announcement(app[keys.SETTINGS], app)


async def _serving(client: Client) -> str:
    app = client.app
    assert app is not None
    return app[keys.MODELS].require().version


async def test_it_serves_a_model(service: Client, home: Path) -> None:
    """The version, where to look, and a request to try."""
    told = await _told(service)
    assert told.startswith(f"Cuvée serves model {Registry(home).production()} on http://")
    assert "/ui" in told
    assert "curl -s http://" in told


async def test_a_model_that_cannot_rank_is_not_said_to_serve(start: Start, home: Path) -> None:
    """A bundle with a damaged ranker: what is popular is served."""
    version = Registry(home).production()
    assert version is not None
    (home / "models" / version / "ranker.onnx").write_bytes(b"damaged")
    told = await _told(await start())
    assert f"with the popular items of model {version}, which cannot rank" in told
    assert "serves model" not in told


async def test_a_model_that_is_refused(start: Start, home: Path) -> None:
    """It is not said that there is none."""
    version = Registry(home).production()
    assert version is not None
    (home / "models" / version / "items.json").unlink()
    told = await _told(await start())
    assert f"and has no model that can serve: {version} was refused: items.json: No such" in told
    assert "train" not in told


async def test_who_served_before_serves_first_where_a_model_is_refused(
    start: Start, home: Path
) -> None:
    """Not the newest, that nobody promoted, or that was stopped for the harm it did."""
    registry = Registry(home)
    before = registry.production()
    second, third = (write_bundle(registry.directory, small_parts(items)) for items in (31, 32))
    registry.promote(second)
    registry.set_candidate(third)
    (registry.directory / second / "price.npy").write_bytes(b"damaged")
    assert await _serving(await start()) == before
    (registry.directory / str(before) / "price.npy").write_bytes(b"damaged")
    assert await _serving(await start()) == third


async def test_no_model(start: Start, home: Path) -> None:
    """It says where none is, which may not be where it was meant, and what makes one."""
    shutil.rmtree(home / "models")
    told = await _told(await start())
    assert f"CUVEE_HOME={home}, " in told
    assert "python -m models train" in told


async def test_who_is_not_known_online_is_told(service: Client) -> None:
    """With the command that brings shoppers there, until the one of the example is known."""
    model = service.app[keys.MODELS].require()
    assert model.example_user is not None
    assert "python -m features materialize" in await _told(service)
    await send(service, event(model.example_user, "wine-0003"))
    assert "materialize" not in await _told(service)


async def test_a_store_that_is_away_is_not_said_to_know_nobody(start: Start) -> None:
    """What it knows is not known: that it does not answer is said."""
    told = await _told(await start(CUVEE_REDIS_URL="redis://127.0.0.1:1"))
    assert "curl -s http://" in told
    assert "The online store does not answer" in told
    assert "materialize" not in told
