"""A service under load, and everything around it that a fault needs to get hold of."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from redis import Redis

from features.online.embedded import EmbeddedValkey
from loadtests.bench.contender import SERVER_CORE
from loadtests.bench.generator import Answer
from loadtests.bench.measure import bound
from loadtests.bench.process_tree import tree
from loadtests.faults.asker import Asker
from loadtests.faults.proxy import ChaosProxy
from loadtests.run import ROOT, LoadTestError, free_port

TOKEN = "of-the-fault-table"
READY_S, STOP_S = 30.0, 30.0
NOTHING_KEPT = {"CUVEE_ROLLOUT": str(ROOT / "loadtests/nothing_kept.yaml")}
"""The environment of a service in which every promotion and every rollback loads a bundle."""


@dataclass
class Rig:
    """The service of `home` on a port of its own, with its store inside or behind a `proxy`."""

    home: Path
    environment: Mapping[str, str]
    port: int = field(default_factory=free_port)
    proxy: ChaosProxy | None = None
    service: asyncio.subprocess.Process | None = None
    away: list[tuple[float, float]] = field(default_factory=list)
    """When, from and to (seconds of `time.time`), the service was told to be gone."""

    answers: list[Answer] = field(default_factory=list)
    flood: Asker | None = None
    """More than the service can do."""

    lasts_s: float = 0.0
    """How long it is to be broken."""

    @property
    def url(self) -> str:
        """Return where the service answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def store(self) -> "Redis":
        """Return a client of the store itself, past any proxy."""
        return Redis.from_url(EmbeddedValkey(self.home).url)

    async def start(self) -> None:
        """Start the service and wait until it is ready."""
        with (self.home / "service.log").open("ab") as log:
            self.service = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "server"),
                cwd=ROOT,
                env=self._environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=bound(SERVER_CORE),
            )
        last = time.monotonic() + READY_S
        while not await self.is_ready():
            if time.monotonic() > last or self.service.returncode is not None:
                tail = (self.home / "service.log").read_text(errors="replace")[-2_000:]
                raise LoadTestError(f"the service does not become ready\n{tail}")
            await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """End the service, by force if need be."""
        if self.service is None or self.service.returncode is not None:
            return
        self.service.send_signal(signal.SIGINT)  # nobody is left for whom it would go on a while
        try:
            await asyncio.wait_for(self.service.wait(), STOP_S)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(self.service.pid, signal.SIGKILL)
            await self.service.wait()

    async def is_ready(self) -> bool:
        """Tell whether /readyz says so."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{self.url}/readyz") as told,
            ):
                return told.status == 200
        except (OSError, aiohttp.ClientError):
            return False

    async def admin(self, path: str) -> int:
        """Post to an admin route and return the status."""
        async with self.administrator() as session:
            return await self.post(session, path)

    @staticmethod
    def administrator() -> aiohttp.ClientSession:
        """Return a session that may post to admin routes."""
        return aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"})

    async def post(self, session: aiohttp.ClientSession, path: str) -> int:
        """Post in a session and return the status."""
        async with session.post(f"{self.url}{path}") as told:
            return told.status

    def processes(self, named: str) -> list[int]:
        """Return the service's processes whose command line holds `named`."""
        assert self.service is not None
        return [pid for pid in tree(self.service.pid) if named in _command_line(pid)]

    def workers(self) -> list[int]:
        """Return the worker processes: the master's children that run what it runs."""
        assert self.service is not None
        return [pid for pid in self.processes("-m server") if pid != self.service.pid]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the service, and with a proxy the store and its consumers, too."""
        if self.proxy is None:
            await self.start()
            try:
                yield
            finally:
                await self.stop()
            return
        with EmbeddedValkey(self.home) as store:
            self.proxy.upstream = store.socket_path
            consumers = [await self._consumer(group, store.url) for group in ("online", "offline")]
            try:
                async with self.proxy:
                    await self.start()
                    try:
                        yield
                    finally:
                        await self.stop()
            finally:
                for consumer in consumers:
                    consumer.terminate()
                    await consumer.wait()

    async def _consumer(self, group: str, url: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "features", "consume", "--group", group),
            cwd=ROOT,
            env=self._environment() | {"CUVEE_REDIS_URL": url},
            stderr=asyncio.subprocess.DEVNULL,
        )

    def _environment(self) -> dict[str, str]:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("CUVEE_")
        }
        return {
            **inherited,
            "CUVEE_HOME": str(self.home),
            "CUVEE_PORT": str(self.port),
            "CUVEE_ADMIN_TOKEN": TOKEN,
            **({} if self.proxy is None else {"CUVEE_REDIS_URL": self.proxy.url}),
            **self.environment,
        }


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
