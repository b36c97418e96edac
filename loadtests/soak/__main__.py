"""`python -m loadtests.soak`: an hour of load with promotions, and whether memory stays flat."""

import asyncio
import math
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from features.number_range import NumberRange
from loadtests.bench.measure import OTHERS_CORE, pinned
from loadtests.bench.shop import TREES
from loadtests.command import run
from loadtests.soak.journal import Journal
from loadtests.soak.plot import plot
from loadtests.soak.soak import Plan, soak
from loadtests.soak.step import Load, Step
from loadtests.soak.verdict import judge, table, typical_mb

FEW = click.IntRange(min=1)
POSITIVE = NumberRange(min=0, min_open=True)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--minutes", default=60.0, show_default=True, type=POSITIVE, help="Of load, in all.")
@click.option("--step-minutes", default=5.0, show_default=True, type=POSITIVE, help="Of a step.")
@click.option("--rate", default=300.0, show_default=True, type=POSITIVE, help="Requests a second.")
@click.option(
    "--promotions",
    default=100,
    show_default=True,
    type=click.IntRange(min=0),
    help="And rollbacks, by turns, in all.",
)
@click.option(
    "--warm-up-minutes",
    default=30.0,
    show_default=True,
    type=NumberRange(min=0),
    help="Of each process, which are not judged; its first step never is.",
)
@click.option("--items", default=5_000, show_default=True, type=FEW, help="Of the shop.")
@click.option("--shoppers", default=20_000, show_default=True, type=FEW, help="With a history.")
@click.option(
    "--trees", default=TREES, show_default=True, type=click.IntRange(min=0), help="Of the ranker."
)
@click.option(
    "--out",
    default="var/soak",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of steps.jsonl, soak.md, soak.svg and service.log.",
)
def main(
    minutes: float,
    step_minutes: float,
    rate: float,
    promotions: int,
    warm_up_minutes: float,
    items: int,
    shoppers: int,
    trees: int,
    out: Path,
) -> None:
    """Ask a service of one worker for an hour and tell whether its memory grows.

    Stopped or killed, the same call goes on after the last whole step, with a new process.
    Ends with 1 where memory grows, or a request or a promotion failed.
    """
    pinned(OTHERS_CORE)()
    steps = math.ceil(minutes / step_minutes - 1e-9)
    load = Load(step_minutes * 60, rate, items, shoppers, trees)
    journal = Journal(out)
    with journal.held():
        with _progress(steps, len(journal.steps(load))) as tell:
            soak(
                Plan(out, steps, load, promotions),
                journal,
                tell,
            )
        told = journal.steps(load)
    verdict = judge(told, 60 * warm_up_minutes)
    (out / "soak.md").write_text(table(told, verdict) + "\n")
    plot(told, out / "soak.svg")
    click.echo(table(told, verdict))
    sys.exit(not verdict.is_kept)


@contextmanager
def _progress(steps: int, done: int) -> Iterator[Callable[[Step], None]]:
    """Yield what shows a step on a terminal; elsewhere it says nothing."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("soaking", total=steps, completed=done)

        def tell(step: Step) -> None:
            about = f"{typical_mb(step):.1f} MB, {step.failed} failed"
            bar.update(task, advance=1, description=about)

        yield tell


if __name__ == "__main__":
    try:
        run(main)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; the same call goes on after the last whole step", err=True)
        raise SystemExit(128 + signal.SIGINT) from None
    except asyncio.CancelledError:
        raise SystemExit(128 + signal.SIGTERM) from None
