"""`python -m features ingest`: the user's own files into the offline store."""

from pathlib import Path

import click

from features.home import home_directory
from features.ingest.ingest import Ingested, find_inputs, ingest
from features.ingest.mapping import load_mapping, override
from features.offline.store import OfflineStore
from features.quality.gatekeeper import Gatekeeper
from features.quality.quarantine import QuarantinedError
from features.quality.refusals import Refusal, RefusedError, as_text
from features.quality.rules import rules_in_force
from features.wording import counted


@click.command("ingest")
@click.option("--items", metavar="FILE", help="Items: CSV, CSV.GZ, Parquet, or ZIP!MEMBER.")
@click.option("--events", metavar="FILE", help="Events, likewise.")
@click.option("--users", metavar="FILE", help="Shoppers, likewise (optional).")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of items.*, events.*, users.* and perhaps mapping.yaml.",
)
@click.option(
    "--mapping",
    type=click.Path(dir_okay=False, path_type=Path),
    help="YAML file that declares which column is what; its files lie in --data.",
)
@click.option(
    "--map",
    "flags",
    multiple=True,
    metavar="TABLE.TARGET=COLUMN",
    help="One column's mapping, over the file's; e.g. events.user_id=UserID. Repeatable.",
)
@click.option(
    "--max-errors",
    default=100,
    show_default=True,
    type=click.IntRange(min=0),
    help="Refused rows allowed; with one more nothing is written.",
)
def ingest_command(
    items: str | None,
    events: str | None,
    users: str | None,
    data: Path | None,
    mapping: Path | None,
    flags: tuple[str, ...],
    max_errors: int,
) -> None:
    """Take items, events and shoppers from files into CUVEE_HOME.

    Every row is checked before anything is written. Rows that break a rule are summed up by
    column and reason, the first of each with number and value, and the others are written,
    unless there are more of them than --max-errors. A batch that breaks a rule of data quality as
    a whole is held back, with a report. The same files a second time change nothing. Rows of
    shoppers who were forgotten since are passed over. See docs/data.md and docs/quality.md.
    """
    if mapping is None and data is not None and (data / "mapping.yaml").is_file():
        mapping = data / "mapping.yaml"
    declared = override(load_mapping(mapping) if mapping else {}, flags)
    named = {"items": items, "events": events, "users": users}
    folder = data or (mapping.parent if mapping else None)
    inputs = find_inputs(folder, declared, {k: v for k, v in named.items() if v is not None})
    home = home_directory()
    try:
        gatekeeper = Gatekeeper(home, rules_in_force())
        result = ingest(home, inputs, gatekeeper, max_refused=max_errors)
    except RefusedError as error:
        click.echo(as_text(error.refusals), err=True)
        raise
    except QuarantinedError as error:
        _tell_refused(error.held.report.refused, "and not among what is held back")
        raise
    _report(result, home)


def _report(result: Ingested, home: Path) -> None:
    _tell_refused(result.refused, "the others taken")
    for table, column in result.absent:
        hint = f"is its column named otherwise? --map {table}.{column}=COLUMN"
        click.echo(f"{table}: there is no {column}; {hint}", err=True)
    told, version = result.committed, OfflineStore(home).version()
    if told.forgotten:
        click.echo(f"passed over: {counted(told.forgotten, 'row')} of forgotten shoppers", err=True)
    counts = {
        "events": f"{told.events.accepted:,} new, {told.events.duplicates:,} known already",
        "items": f"{told.items:,} new or changed",
        "users": f"{told.users:,} new or changed",
    }
    used = {each.table: each for each in result.columns}
    for table, count in counts.items():
        click.echo(f"{table:<10}{count}")
        for line in used.get(table, ()):
            click.echo(f"{'':<10}{line}")
    click.echo(f"version   {version} of {home}")


def _tell_refused(refused: tuple[Refusal, ...], rest: str) -> None:
    if refused:
        click.echo(as_text(refused), err=True)
        click.echo(f"{counted(len(refused), 'row')} refused (above), {rest}", err=True)
