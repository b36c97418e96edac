"""Real stores for all rooms: the wheel's Valkey, and what `CUVEE_REDIS_URL` names.

valkey     the session's embedded server, empty
redis_url  where a store is, empty: tests run once over each; one that holds data is refused
"""

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from features.online.embedded import EmbeddedValkey
from features.online.valkey_store import ValkeyStore

# A busy machine is slow to draw examples and to run them; neither says anything of the code.
settings.register_profile("no-clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no-clock")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Run in the background of a script; what tests start and interrupt would ignore it as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Spark's Java lives for seconds here: to compile for hours of work would take longer than the work.
os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with a `slow` test first, then those with many: what ends last begins early."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in slow, -tests[item.path]))


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
def other_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """Return `CUVEE_REDIS_URL`, else the url of a `redis-server` of ours, else None."""
    named = os.environ.get("CUVEE_REDIS_URL")
    program = shutil.which("redis-server")
    if named or program is None:
        yield named
        return
    path = tmp_path_factory.mktemp("redis") / "redis.sock"
    command = [
        program,
        "--port",
        "0",
        "--unixsocket",
        str(path),
        "--save",
        "",
        "--appendonly",
        "no",
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        url = f"unix://{path}"
        while not _answers(url):  # the socket is there before anybody listens
            assert server.poll() is None, "redis-server did not start"
            time.sleep(0.01)
        yield url
    finally:
        server.terminate()
        server.wait()


def _answers(url: str) -> bool:
    try:
        with Redis.from_url(url, retry=None) as client:
            return bool(client.ping())
    except RedisConnectionError:
        return False


@pytest.fixture(params=["valkey", "redis"])
def redis_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the url of an empty store: once the wheel's Valkey, once another server if any."""
    if request.param == "valkey":
        yield request.getfixturevalue("valkey").url
        return
    url = request.getfixturevalue("other_url")
    if url is None:
        pytest.skip("neither CUVEE_REDIS_URL nor a redis-server: only the wheel's Valkey is tried")
    with Redis.from_url(url) as client:
        if client.dbsize():
            pytest.exit("CUVEE_REDIS_URL holds data: name an empty database", 2)
        yield url
        client.flushdb()


@pytest.fixture
async def online_store(redis_url: str) -> AsyncIterator[ValkeyStore]:
    """Return a store over an empty server."""
    store = ValkeyStore(redis_url)
    yield store
    await store.close()
