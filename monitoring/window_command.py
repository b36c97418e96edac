"""`python -m monitoring window`: what the service is doing now, from its own machine."""

import json
import time
from pathlib import Path

import click

from monitoring.snapshot import MAX_WINDOW_S, RealTimeSnapshot, summarise
from monitoring.window import read_windows

WINDOW_FOLDER = Path("run") / "window"


@click.command("window")
@click.option(
    "--home",
    envvar="CUVEE_HOME",
    default="var",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="CUVEE_HOME of the service.",
)
@click.option(
    "--seconds",
    type=click.IntRange(1, MAX_WINDOW_S),
    default=MAX_WINDOW_S,
    show_default=True,
    help="How far to look back.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything, alerts included.")
def window_command(home: Path, seconds: int, as_json: bool) -> None:
    """Show the last seconds of all workers: requests, latency, cache, fallbacks, errors.

    Reads the workers' window files; works without Prometheus, an admin token, or the service's
    help. Ends with 2 if no worker is alive.
    """
    snapshot = summarise(list(read_windows(home / WINDOW_FOLDER)), time.monotonic(), seconds)
    if not snapshot.workers:
        click.echo(f"error: no worker is serving from {home}", err=True)
        raise SystemExit(2)
    click.echo(json.dumps(snapshot.as_dict()) if as_json else _text(snapshot))


def _text(snapshot: RealTimeSnapshot) -> str:
    figures = snapshot.as_dict()
    alerts, sources = figures.pop("alerts"), figures.pop("sources")
    figures |= {f"from {source}": count for source, count in sources.items()}
    lines = [f"{name:<18}{'-' if value is None else value}" for name, value in figures.items()]
    return "\n".join([*lines, *(f"{alert['kind']:<18}{alert['count']}" for alert in alerts)])
