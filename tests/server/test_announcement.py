"""What the service says of itself when it is up."""

import shutil
from pathlib import Path

from models.registry import Registry
from server import keys
from server.announcement import announcement
from tests.support.service import Client, Start


def _told(client: Client) -> str:
    app = client.app
    assert app is not None
    return announcement(app[keys.SETTINGS], app)


async def test_it_serves_a_model(service: Client, home: Path) -> None:
    """The version, where to look, and a request to try."""
    told = _told(service)
    assert told.startswith(f"Cuvée serves model {Registry(home).production()} on http://")
    assert "/ui" in told
    assert "curl -s http://" in told


async def test_a_model_that_cannot_rank_is_not_said_to_serve(start: Start, home: Path) -> None:
    """A bundle with a damaged ranker: what is popular is served."""
    version = Registry(home).production()
    assert version is not None
    (home / "models" / version / "ranker.onnx").write_bytes(b"damaged")
    told = _told(await start())
    assert f"with the popular items of model {version}, which cannot rank" in told
    assert "serves model" not in told


async def test_a_model_that_is_refused(start: Start, home: Path) -> None:
    """It is not said that there is none."""
    version = Registry(home).production()
    assert version is not None
    (home / "models" / version / "items.json").unlink()
    told = _told(await start())
    assert f"and has no model that can serve: {version} was refused: items.json: No such" in told
    assert "train" not in told


async def test_no_model(start: Start, home: Path) -> None:
    """It says what makes one."""
    shutil.rmtree(home / "models")
    assert "python -m models train" in _told(await start())
