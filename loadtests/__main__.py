"""`python -m loadtests VERB`: put the service under load, and judge what came out."""

import tempfile
from pathlib import Path

import click

from features.errors import InputError
from loadtests.run import LoadTestError, Plan, check_local, run
from loadtests.shapes import SHAPES
from loadtests.slo_gate import DEFAULT_SLO, SloError, judge, read_result, read_slo, table

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Load tests: shoppers that browse, click and buy, and the objectives they hold."""


@cli.command("run", short_help="Start the service, send it shoppers, judge.")
@click.option("--shape", type=click.Choice(sorted(SHAPES)), default="smoke", show_default=True)
@click.option("--time-scale", default=1.0, show_default=True, help="Stretch or shorten all phases.")
@click.option("--url", help="Test a service that runs on this machine instead of starting one.")
@click.option("--home", type=FOLDER, help="What the service knows; by default CUVEE_HOME.")
@click.option("--shoppers", type=FILE, help="Known user ids, one a line, most frequent first.")
@click.option("--slo", type=FILE, default=DEFAULT_SLO, help="The objectives (load_test).")
@click.option("--out", type=FOLDER, help="Keep result.json and the logs here.")
@click.argument("command", nargs=-1)
def run_command(
    shape: str,
    time_scale: float,
    url: str | None,
    home: Path | None,
    shoppers: Path | None,
    slo: Path,
    out: Path | None,
    command: tuple[str, ...],
) -> None:
    """Start the service on a free port, send it shoppers, print the figures, stop everything.

    The service is `python -m server` over a copy of the home, with a store of its own: what it is
    told ends with it. COMMAND starts another, with CUVEE_HOST, CUVEE_PORT and CUVEE_HOME set; what
    that one, or the one at --url, is told it keeps as what any shopper did.

    Ends with 0 if every objective was kept, 1 if one was missed, 2 if the test could not be
    carried out.
    """
    with tempfile.TemporaryDirectory() as scratch:
        plan = Plan(
            shape=shape,
            time_scale=time_scale,
            url=url and check_local(url),
            command=command,
            home=home and home.absolute(),
            shoppers=shoppers and shoppers.absolute(),
            folder=(out or Path(scratch)).absolute(),
        )
        seconds = sum(phase.seconds for phase in SHAPES[shape]) * time_scale
        click.echo(f"{shape}: {seconds:.0f} s against {plan.url or 'a service of its own'}")
        _judge(run(plan), slo)


@cli.command()
@click.argument("result", type=FILE)
@click.option("--slo", type=FILE, default=DEFAULT_SLO, help="The objectives (load_test).")
def gate(result: Path, slo: Path) -> None:
    """Judge the result.json of an earlier run."""
    _judge(result, slo)


def _judge(path: Path, slo: Path) -> None:
    result = read_result(path)
    verdicts = judge(result, read_slo(slo))
    click.echo(table(result, verdicts))
    if not all(verdict.kept for verdict in verdicts):
        raise SystemExit(1)


def main() -> None:
    """Run the command line; a mistake of the user's is one line, not a traceback."""
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        raise SystemExit(2) from None
    except (InputError, LoadTestError, SloError) as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(2) from None
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; everything that was started is stopped", err=True)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
