"""`python -m monitoring run`: watch what is served beside the service, and act on findings."""

import asyncio
import fcntl
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from prometheus_client import CollectorRegistry, disable_created_metrics, start_http_server

from features.errors import InputError
from features.home import home_directory
from features.named_file import read_named
from features.number_range import NumberRange
from features.online.store_url import running_store_url
from features.online.valkey_client import connect
from monitoring.drift.journal import Journal
from monitoring.drift.metrics import DriftMetrics
from monitoring.drift.policy import Policy, policy_in_force
from monitoring.drift.watch import Watch
from monitoring.parts import Part, run_parts
from monitoring.performance.metrics import PerformanceMetrics
from monitoring.performance.watch import PerformanceWatch
from monitoring.policies import policy_option
from monitoring.response.assembly import responder_of
from monitoring.response.parse import VARIABLE
from monitoring.response.policy_file import PolicyFile


@click.command("run")
@policy_option("CUVEE_DRIFT", "What is watched for drift")
@click.option(
    "--response",
    "response_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="What is done about findings: a YAML file, instead of CUVEE_RESPONSE.",
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
def run_command(
    policy_file: Path | None,
    response_file: Path | None,
    port: int | None,
    host: str,
    every_s: float,
) -> None:
    """Watch whether what is served still looks like what the model was made from, and respond.

    Reads the sample of served features (CUVEE_FEATURE_LOG_SHARE), counts it into the store of
    CUVEE_REDIS_URL, or the embedded Valkey that runs under CUVEE_HOME, and compares each window
    with the reference in the bundle that serves. Leaves the latest findings for python -m
    monitoring drift. Where the tables of served lists are, it judges what became of them as well,
    as python -m monitoring performance does. With CUVEE_RESPONSE, or --response, it does about
    findings what is declared there, and python -m monitoring audit shows what. Runs until it is
    told to stop; may be killed at any moment.
    """
    home, policy = home_directory(), policy_in_force(policy_file)
    disable_created_metrics()  # type: ignore[no-untyped-call] # as in `monitoring.metrics`
    registry, journal = CollectorRegistry(), Journal()
    response = read_named(lambda path: PolicyFile(path, journal), VARIABLE, response_file)
    with alone(home):
        if port is not None:
            _listen(port, host, registry)
        asyncio.run(_run(home, policy, response, registry, every_s))


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


def _listen(port: int, host: str, registry: CollectorRegistry) -> None:
    try:
        start_http_server(port, host, registry)
    except OSError as error:
        where, why = f"cannot listen on {host}:{port}", error.strerror or str(error)
        raise InputError(f"{where}: {why}; set --host and --port to another") from None


async def _run(
    home: Path,
    policy: Policy,
    response: PolicyFile | None,
    registry: CollectorRegistry,
    every_s: float,
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    client = connect(running_store_url(home), connections=2)
    parts: list[Part] = [
        Watch(home, policy, client, DriftMetrics(registry), Journal()),
        PerformanceWatch(home, PerformanceMetrics(registry), Journal()),
    ]
    if response is not None:
        parts.append(responder_of(home, policy, response, registry))
    await run_parts(parts, every_s, stop, registry)
