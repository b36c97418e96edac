"""Real stores for all rooms: the wheel's Valkey, or what `CUVEE_REDIS_URL` names.

valkey     the session's embedded server, empty
redis_url  where the store under test is, empty; a server that holds data is refused
"""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from redis import Redis

from features.embedded import EmbeddedValkey
from features.valkey_store import ValkeyStore


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """Run one embedded server for the session."""
    with EmbeddedValkey(tmp_path_factory.mktemp("store")) as server:
        yield server


@pytest.fixture
def valkey(valkey_server: EmbeddedValkey) -> EmbeddedValkey:
    """Return the session's embedded server, emptied."""
    with Redis.from_url(valkey_server.url) as client:
        client.flushall()
    return valkey_server


@pytest.fixture(scope="session")
def external_url() -> str | None:
    """Return `CUVEE_REDIS_URL` if it is set and names an empty database."""
    url = os.environ.get("CUVEE_REDIS_URL")
    if not url:
        return None
    with Redis.from_url(url) as client:
        if client.dbsize():
            pytest.exit(f"CUVEE_REDIS_URL ({url}) holds data: name an empty database", 2)
    return url


@pytest.fixture
def redis_url(external_url: str | None, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the url of an empty store, and leave it empty."""
    if external_url is None:
        yield request.getfixturevalue("valkey").url
        return
    yield external_url
    with Redis.from_url(external_url) as client:
        client.flushdb()


@pytest.fixture
async def online_store(redis_url: str) -> AsyncIterator[ValkeyStore]:
    """Return a store over an empty server."""
    store = ValkeyStore(redis_url)
    yield store
    await store.close()
