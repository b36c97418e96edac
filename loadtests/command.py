"""What all benchmarks' command lines have alike."""

import os
from collections.abc import Sequence

import click

from loadtests.bench.contender import SERVER_CORE
from loadtests.bench.measure import OTHERS_CORE
from loadtests.run import LoadTestError, terminable


def run(command: click.Command) -> None:
    """Run `command`; what was asked wrongly, or could not be carried out, is one line and 2.

    SIGTERM ends what was started, too.
    """
    try:
        with terminable():
            command.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        raise SystemExit(2) from None
    except LoadTestError as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(2) from None


def refuse_unknown(only: str, names: Sequence[str]) -> None:
    """Raise where `only` is in none of the names: nothing would be done, and that look well."""
    if not any(only in name for name in names):
        told = "; ".join(names)
        raise click.BadParameter(f"no name holds {only!r}: {told}", param_hint="'--only'")


def warn_of_one_core() -> None:
    """Say so where server and load cannot have a core each."""
    if not {SERVER_CORE, OTHERS_CORE} <= os.sched_getaffinity(0):
        click.echo("only one core: server and load share it, so only CPU-ms means much", err=True)
