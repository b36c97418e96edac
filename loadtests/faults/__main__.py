"""`python -m loadtests.faults`: one thing at a time breaks under load; what shoppers saw of it."""

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from loadtests.bench.measure import OTHERS_CORE, pinned
from loadtests.command import refuse_unknown, run
from loadtests.faults.faults import FAKETIME, faults
from loadtests.faults.trial import Trial
from loadtests.faults.verdict import HEAD, Verdict


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seconds", default=10.0, show_default=True, help="How long a thing is broken.")
@click.option("--rate", default=100.0, show_default=True, help="Of the open loop, requests/s.")
@click.option("--only", default="", help="Faults whose name holds this.")
@click.option("--repeat", default=1, show_default=True, help="Of each fault.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write faults.json and faults.md into this folder.",
)
def main(seconds: float, rate: float, only: str, repeat: int, out: Path | None) -> None:
    """Print a row for each fault; end with 1 if one of them was more than shoppers may notice.

    Connections may end with the process that held them. Everything else must be a 200 with items
    within 100 ms.
    """
    refuse_unknown(only, [fault.name for fault in faults()])
    pinned(OTHERS_CORE)()  # what a fault takes to prepare is not to be the service's loss
    if FAKETIME is None:
        click.echo("the clock is not stepped: apt-get install faketime (libfaketime)", err=True)
    verdicts: list[Verdict] = []
    click.echo(HEAD)
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), seconds, rate)
        trial.prepare()
        for fault in faults():
            for _ in range(repeat if only in fault.name else 0):
                verdicts.append(asyncio.run(trial.broken(fault)))
                click.echo(verdicts[-1].row())
                if out is not None:
                    _write(out, verdicts)
    sys.exit(not all(each.is_kept for each in verdicts))


def _write(out: Path, verdicts: Sequence[Verdict]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    told = json.dumps([asdict(each) for each in verdicts], indent=1)
    (out / "faults.json").write_text(told + "\n")
    rows = [HEAD, *(each.row() for each in verdicts)]
    (out / "faults.md").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    run(main)
