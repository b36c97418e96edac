"""`python -m monitoring run`: watch the features that are served, beside the service."""

import asyncio
import fcntl
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click
from prometheus_client import CollectorRegistry, start_http_server

from features.errors import InputError, StoreError
from features.home import home_directory
from features.number_range import NumberRange
from features.online.store_url import running_store_url
from features.online.valkey_client import Client, connect
from models.errors import ModelsError
from models.reference.sample import COUNTRY
from models.reference.stored import read_reference
from models.registry import Registry
from monitoring.drift.counters import Counters
from monitoring.drift.journal import Journal
from monitoring.drift.metrics import DriftMetrics
from monitoring.drift.monitor import HORIZON, Monitor
from monitoring.drift.policy import Policy, policy_in_force
from monitoring.drift.reference import Reference

KEPT_WINDOWS = HORIZON + 8


class Watch:
    """Watches whichever model serves from `home`, until it is told to stop."""

    def __init__(
        self, home: Path, policy: Policy, client: Client, metrics: DriftMetrics, journal: Journal
    ) -> None:
        """Watch nothing yet."""
        self._home = home
        self._policy = policy
        self._client = client
        self._metrics = metrics
        self._journal = journal
        self._registry = Registry(home)
        self._version: str | None = None
        self._monitor: Monitor | None = None

    async def step(self) -> None:
        """Do what is to be done now; say what is in the way of it."""
        try:
            version = self._registry.resolve("production")
            if self._monitor is None or version != self._version:
                self._monitor = self._open(version)
                self._version = version
                self._journal.tell("watching", version=version)
            await self._monitor.step()
        except (StoreError, ModelsError, OSError) as error:
            self._metrics.watching(False)
            self._journal.tell("blind", reason=str(error))
        else:
            self._metrics.watching(True)

    def _open(self, version: str) -> Monitor:
        rows = self._policy.watched(read_reference(self._registry.directory / version))
        reference = Reference.of(rows, [COUNTRY])
        what = f"{version} {self._policy.window_minutes}"
        keep_s = KEPT_WINDOWS * self._policy.window_minutes * 60
        return Monitor(
            self._home,
            version,
            reference,
            self._policy,
            Counters(self._client, reference.columns, what, keep_s),
            self._metrics,
            self._journal,
            time.time,
        )


@click.command("run")
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A YAML file, instead of CUVEE_DRIFT.",
)
@click.option("--port", type=click.IntRange(0, 65_535), help="Show metrics on this port.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of the metrics.")
@click.option(
    "--every",
    "every_s",
    default=5.0,
    show_default=True,
    type=NumberRange(min=0.05),
    metavar="SECONDS",
    help="How often to look.",
)
def run_command(policy_file: Path | None, port: int | None, host: str, every_s: float) -> None:
    """Watch whether what is served still looks like what the model was made from.

    Reads the sample of served features (CUVEE_FEATURE_LOG_SHARE), counts it into the store of
    CUVEE_REDIS_URL, or the embedded Valkey that runs under CUVEE_HOME, and compares each window
    with the reference in the bundle that serves. Leaves the latest findings for
    python -m monitoring drift. Runs until it is told to stop; may be killed at any moment.
    """
    home, policy = home_directory(), policy_in_force(policy_file)
    registry = CollectorRegistry()
    metrics = DriftMetrics(registry)
    with alone(home):
        if port is not None:
            start_http_server(port, host, registry)
        asyncio.run(_run(home, policy, metrics, every_s))


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Be the only one who watches a home; raise `InputError` if another does."""
    path = home / "drift" / ".lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{home}: another python -m monitoring run watches it") from None
        yield


async def _run(home: Path, policy: Policy, metrics: DriftMetrics, every_s: float) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    client = connect(running_store_url(home), connections=2)
    watch = Watch(home, policy, client, metrics, Journal())
    try:
        while not stop.is_set():
            await watch.step()
            with suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await stop.wait()
    finally:
        await client.aclose()
