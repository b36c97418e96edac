"""`python -m loadtests.drift`: how often drift is told where there is none, and how soon it is."""

import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import click
from rich.progress import track

from loadtests.command import run
from loadtests.drift.libraries import LIBRARIES
from loadtests.drift.peer import PYTHON
from loadtests.drift.plot import plot
from loadtests.drift.table import table
from loadtests.drift.trial import CHANGES, Size, try_out
from models.reference.rows import SLOTS


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--worlds", default=10, show_default=True, type=click.IntRange(1))
@click.option("--naive-worlds", default=2, show_default=True, help="Of those, with the naive rule.")
@click.option(
    "--library-worlds", default=1, show_default=True, help="With libraries: make detectors."
)
@click.option("--first-seed", default=1_000, show_default=True)
@click.option("--quiet", default=96, show_default=True, type=click.IntRange(1), help="Windows.")
@click.option("--changed", default=24, show_default=True, type=click.IntRange(1), help="Windows.")
@click.option("--reference-rows", default=SLOTS * 1_000, show_default=True)
@click.option("--processes", default=2, show_default=True, type=click.IntRange(1))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it here, too.")
@click.option(
    "--picture",
    "drawn",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw it, too: an SVG. Takes half as long again.",
)
def main(
    worlds: int,
    naive_worlds: int,
    library_worlds: int,
    first_seed: int,
    quiet: int,
    changed: int,
    reference_rows: int,
    processes: int,
    out: Path | None,
    drawn: Path | None,
) -> None:
    """Detect drift in made-up worlds whose shoppers come back and whose days have a rhythm."""
    size = Size(quiet=quiet, changed=changed, reference_rows=reference_rows)
    seeds = range(first_seed, first_seed + worlds)
    libraries = list(LIBRARIES) if PYTHON.exists() else []
    if not libraries:
        click.echo("libraries are not installed, so none is beside: make detectors", err=True)
    with ProcessPoolExecutor(processes) as pool:
        tried = [
            pool.submit(
                partial(
                    try_out,
                    seed,
                    size,
                    naive=at < naive_worlds,
                    curve=drawn is not None,
                    libraries=libraries if at < library_worlds else (),
                )
            )
            for at, seed in enumerate(seeds)
        ]
        outcomes = [
            each.result() for each in track(tried, "detecting", disable=not sys.stderr.isatty())
        ]
    told = table(outcomes, list(CHANGES))
    click.echo(told)
    if out is not None:
        out.write_text(told + "\n", encoding="utf-8")
    if drawn is not None:
        plot(outcomes, drawn)


if __name__ == "__main__":
    run(main)
