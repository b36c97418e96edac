"""`python -m loadtests.growth`: catalogues of a thousand items to a million, and more workers."""

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import click
from rich.progress import track

from loadtests.bench.measure import Load
from loadtests.command import run, warn_of_one_core
from loadtests.growth.promotions import Often
from loadtests.growth.size import measure_size
from loadtests.growth.table import plot, promotions, scaling, table

SIZES = (1_000, 10_000, 100_000, 1_000_000)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--items", multiple=True, type=click.IntRange(1_000), default=SIZES, help="A size.")
@click.option("--workers", multiple=True, type=click.IntRange(1, 2), default=(1, 2))
@click.option("--seconds", default=5.0, show_default=True, help="Of each run, each way.")
@click.option("--rate", default=100.0, show_default=True, help="Of the open loop, requests/s.")
@click.option(
    "--connections", default=32, show_default=True, help="Of the closed loop, for each worker."
)
@click.option(
    "--promotions",
    "count",
    default=20,
    show_default=True,
    type=click.IntRange(1),
    help="Under the open loop.",
)
@click.option(
    "--every", "every_s", default=3.0, show_default=True, help="From one to the next, seconds."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write growth.json, growth.md and growth.svg into this folder.",
)
def main(
    items: tuple[int, ...],
    workers: tuple[int, ...],
    seconds: float,
    rate: float,
    connections: int,
    count: int,
    every_s: float,
    out: Path | None,
) -> None:
    """Measure lists by two towers over catalogues of several sizes; every list is computed.

    One worker has core 0 to itself; two share both cores with requests and Valkey. Promotions
    happen under the open loop, with one worker; as long before and after them there are none.
    """
    how, often = Load(seconds, connections, rate), Often(count, every_s)
    with tempfile.TemporaryDirectory() as scratch:
        sizes = [
            measure_size(each, workers, Path(scratch), how, often)
            for each in track(items, "measuring", disable=not sys.stderr.isatty())
        ]
    told = "\n\n".join(filter(None, (table(sizes), scaling(sizes), promotions(sizes))))
    click.echo(told)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "growth.json").write_text(json.dumps([asdict(s) for s in sizes], indent=1) + "\n")
        (out / "growth.md").write_text(told + "\n")
        plot(sizes, out / "growth.svg")


if __name__ == "__main__":
    warn_of_one_core()
    run(main)
