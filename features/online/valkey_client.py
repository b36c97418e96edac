"""Connections to Valkey or Redis, server-side scripts, and their errors in this room's words."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha1
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from features.errors import FeaturesError, InputError, StoreError, StoreFullError, StoreTimeoutError
from features.online.pipeline import Address, Pipeline

Client: TypeAlias = "Redis | RedisCluster"
Commands: TypeAlias = "Pipeline | Redis | RedisCluster"
"""Whatever executes one command."""

CLUSTER_SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
"""Schemes that name any node of a cluster, and what its nodes speak."""

SOCKET_TIMEOUT_S = 1.0
"""When a connection to a frozen server is given up; how long a caller waits is its own affair."""

COMMAND_TIMEOUT_S = 0.4
"""When the connection of single commands is given up: before a breaker tries again, half a second.

Should an answer get lost, each command would get the one before it. If every try found that one
still awaited on it, the connection would never be silent for long, and no try would succeed.
"""

_CHUNK = 256
T = TypeVar("T")
_FULL = ("OOM", "MISCONF", "FULL", "READONLY", "NOREPLICAS")


def connect(url: str, *, connections: int) -> Client:
    """Return a client of at most `connections` connections, without retries, not connected yet.

    Beyond the limit a command waits `SOCKET_TIMEOUT_S` for a connection. Raises `InputError`
    where the url is none.
    """
    settings = {
        "socket_timeout": SOCKET_TIMEOUT_S,
        "socket_connect_timeout": SOCKET_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": False,
        "protocol": 2,
        "driver_info": None,
    }
    scheme, _, rest = url.partition("://")
    try:
        if scheme in CLUSTER_SCHEMES:
            node = f"{CLUSTER_SCHEMES[scheme]}://{rest}"
            return RedisCluster.from_url(node, max_connections=connections, **settings)
        return Redis.from_pool(
            BlockingConnectionPool.from_url(
                url, max_connections=connections, timeout=SOCKET_TIMEOUT_S, **settings
            )
        )
    except ValueError as error:
        raise InputError(
            "CUVEE_REDIS_URL: expected redis://, rediss://, unix://, redis+cluster:// or "
            "rediss+cluster://, "
            f"got {_without_password(url)!r:.80} ({error})"
        ) from error


def connect_commands(url: str, *, connections: int) -> Commands:
    """Return what executes single commands at the least cost: redis-py only where it must be.

    Raises `InputError` where the url is none.
    """
    client = connect(url, connections=connections)
    address = Address.of(url)
    return client if address is None else Pipeline(address, COMMAND_TIMEOUT_S)


def _without_password(url: str) -> str:
    scheme = url.partition("://")[0] + "://" if "://" in url else ""
    return scheme + url.removeprefix(scheme).partition("?")[0].rpartition("@")[2]


def translate(error: Exception) -> StoreError:
    """Return `error` as a `StoreError`, the narrowest that fits."""
    reason = f"{type(error).__name__}: {error}"[:300]
    if isinstance(error, RedisTimeoutError | TimeoutError):
        return StoreTimeoutError(f"no answer from the online store ({reason})")
    if isinstance(error, RedisError) and _is_refusal(error):
        return StoreFullError(f"the online store takes no writes ({reason})")
    return StoreError(f"online store: {reason}")


def _is_refusal(error: RedisError) -> bool:
    from redis.exceptions import OutOfMemoryError, ReadOnlyError  # noqa: PLC0415 (rare)

    return isinstance(error, OutOfMemoryError | ReadOnlyError) or str(error).startswith(_FULL)


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Raise `StoreError` in place of whatever goes wrong; let our own errors and cancellation pass.

    An answer is taken apart inside as well, so that one of another shape is the store's fault.
    """
    try:
        yield
    except (FeaturesError, asyncio.CancelledError):
        raise
    except Exception as error:  # a server that talks garbage makes it raise anything
        raise translate(error) from error


class Script:
    """A server-side script. Each call's keys stand in one hash slot."""

    def __init__(self, name: str, folder: Path = Path(__file__).parent) -> None:
        """Read `NAME.lua`, which is beside this file or in `folder`."""
        self.body = (folder / f"{name}.lua").read_bytes()
        self.sha = sha1(self.body, usedforsecurity=False).hexdigest()

    async def once(self, client: Commands, call: "Call") -> None:
        """Make one call, and again where the server lost the script."""
        try:
            await client.execute_command("EVALSHA", self.sha, *call)
        except NoScriptError:
            await client.execute_command("EVAL", self.body, *call)

    async def run(self, client: Client, calls: Sequence["Call"]) -> list[Any]:
        """Make all calls in one round trip, and a second where the server lost the script.

        Every script answers with a number or a list of numbers. Raises the first call's error as
        a `StoreError`, once all were made.
        """
        if not calls:
            return []
        async with translated():
            answers = await self._answers(client, calls)
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
                if not isinstance(answer, int | list):
                    raise StoreError(f"online store: expected numbers, got {answer!r:.80}")
            return answers

    async def _answers(self, client: Client, calls: Sequence["Call"]) -> list[Any]:
        answers = await _pipeline(client, [("EVALSHA", self.sha, *call) for call in calls])
        lost = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if lost:
            again = await _pipeline(client, [("EVAL", self.body, *calls[at]) for at in lost])
            for at, answer in zip(lost, again, strict=True):
                answers[at] = answer
        return answers


Call: TypeAlias = tuple[Any, ...]
"""The number of keys, the keys, the arguments."""


def call(keys: Sequence[bytes], *arguments: bytes | str | int) -> Call:
    """Return a script call."""
    return len(keys), *keys, *arguments


def chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield items some at a time: as many as one round trip should carry."""
    iterator = iter(items)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


async def _pipeline(client: Client, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    if len(commands) == 1:
        try:
            return [await client.execute_command(*commands[0])]
        except ResponseError as error:
            return [error]
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return list(await pipeline.execute(raise_on_error=False))
