"""A whole service in this process: a real bundle, a real store, HTTP over a socket."""

import shutil
import socket
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from features.online.store import OnlineStore
from models.bundle import write_bundle
from models.registry import Registry
from server.app import build_app
from server.door import Door
from server.settings import Settings
from tests.support.bundles import small_parts

ADMIN = {"Authorization": "Bearer secret"}
PATIENT = {"CUVEE_DEADLINE_MS": "5000", "CUVEE_FEATURE_TIMEOUT_MS": "2000"}
"""A busy machine may be slow; what is late is the fault tests' affair."""

Client = TestClient[web.Request, web.Application]
Start = Callable[..., Awaitable[Client]]


class ServiceServer(TestServer):
    """A server whose clients come in by the door."""

    async def start_server(self, *arguments: Any, **options: Any) -> None:
        """Listen beside aiohttp's own port, and be known by ours."""
        await super().start_server(*arguments, **options)
        assert isinstance(self.runner, web.AppRunner)
        self.door = await Door(self.runner, keep_alive_s=75, in_flight_s=5).__aenter__()
        listener = socket.create_server((self.host, 0))
        self.port = listener.getsockname()[1]
        self._root = URL.build(scheme=self.scheme, host=self.host, port=self.port)
        self.door.open(listener)

    async def close(self) -> None:
        """Close the door before what lies behind it."""
        if not self.closed:
            await self.door.__aexit__(None, None, None)
        await super().close()


@cache
def _promoted(folder: Path) -> Path:
    """Return a home with one bundle, promoted, that is made once a run below `folder`."""
    made = folder / "promoted"
    Registry(made).promote(write_bundle(made / "models", small_parts()))
    return made


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with one bundle, promoted: a copy, since to make it waits for the disk."""
    shutil.copytree(_promoted(tmp_path_factory.getbasetemp()), tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def start(
    home: Path, redis_url: str, aiohttp_client: Any, monkeypatch: pytest.MonkeyPatch
) -> Start:
    """Return a function that starts a service over the home and the store.

    Without a deadline of its own it is patient, with runs of the model, too.
    """

    async def started(store: OnlineStore | None = None, **variables: str) -> Client:
        if "CUVEE_DEADLINE_MS" not in variables:
            monkeypatch.setattr("server.inference.LATE_S", 5.0)
        environment = {
            "CUVEE_HOME": str(home),
            "CUVEE_REDIS_URL": redis_url,
            "CUVEE_ADMIN_TOKEN": "secret",
            **PATIENT,
            **variables,
        }
        app = build_app(Settings.from_environment(environment), store=store)
        client: Client = await aiohttp_client(ServiceServer(app))
        return client

    return started


@pytest.fixture
async def service(start: Start) -> Client:
    """Return a client of a service with everything at hand."""
    return await start()


def event(user_id: str, item_id: str, kind: str = "click", **more: Any) -> dict[str, Any]:
    """Return an event of now."""
    plain = {
        "event_id": uuid4().hex,
        "type": kind,
        "user_id": user_id,
        "item_id": item_id,
        "timestamp": 1_760_000_000,
    }
    return {**plain, **more}


async def send(service: Client, *events: dict[str, Any]) -> None:
    """Post events and see them accepted."""
    answer = await service.post("/v1/events", json={"events": events})
    assert answer.status == 202, await answer.text()


async def ask(service: Client, user_id: str, **fields: Any) -> dict[str, Any]:
    """Ask for a recommendation and see it answered."""
    answer = await service.post("/v1/recommendations", json={"user_id": user_id, **fields})
    assert answer.status == 200, await answer.text()
    told: dict[str, Any] = await answer.json()
    return told


def ids(answer: dict[str, Any]) -> list[str]:
    """Return the item ids of an answer, in order."""
    return [item["item_id"] for item in answer["items"]]
