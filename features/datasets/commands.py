"""`python -m features dataset`: make versions of datasets, look at them, compare and trace them."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from features.datasets import lineage, view
from features.datasets.dataset import Declaration, Reference
from features.datasets.datasets import Datasets
from features.errors import InputError
from features.home import home_directory
from features.training.engine import Engine
from features.training.engine_options import engine_options
from features.whole_file import replace_file
from features.wording import counted


@click.group("dataset", context_settings={"help_option_names": ["-h", "--help"]})
def dataset_command() -> None:
    """Training sets with a version: made once, never changed, and traced to what they are of.

    Only rows of shoppers who are forgotten are deleted from them, by the consumer of events.

    A dataset is named NAME, or NAME@VERSION for one of its versions.
    """


@dataset_command.command("create", short_help="Make the next version of NAME.")
@click.argument("name")
@click.option("--labels", required=True, help="FILE, QUERY of the tables, or NAME@VERSION.")
@click.option("--as-of", required=True, help="The column that says when each row was true.")
@click.option("--mask", is_flag=True, help="A column more for each feature: was it missing?")
@engine_options
def create_command(name: str, labels: str, as_of: str, mask: bool, engine: Engine) -> None:
    """Make the next version of NAME: labels joined with every feature as it was known.

    Rows of a query are sorted by their columns, whatever it orders by; it may not have a LIMIT.
    """
    told = _datasets().create(name, Declaration(labels, as_of, mask), engine)
    if told.passed_over:
        click.echo(
            f"passed over: {counted(told.passed_over, 'row')} of forgotten shoppers", err=True
        )
    click.echo(
        f"{told.reference}: {counted(told.rows, 'row')}, {len(told.schema)} columns, "
        f"{told.checksum}"
    )


@dataset_command.command("list")
@click.option("--user", help="Only versions with rows of this shopper.")
def list_command(user: str | None) -> None:
    """List all datasets with their versions."""
    datasets = _datasets()
    if not datasets.names():
        click.echo("there are no datasets yet: `dataset create` makes one")
    listed = datasets.all() if user is None else datasets.holding(user)
    if datasets.names() and not listed:
        click.echo(f"no dataset has rows of {user}")
    for told in listed:
        less = f"  {view.lost(told)}" if told.erased else ""
        click.echo(
            f"{told.reference}  {told.created}  {counted(told.rows, 'row')}  {told.tables}{less}"
        )


@dataset_command.command("delete")
@click.argument("dataset", metavar="NAME@VERSION")
def delete_command(dataset: str) -> None:
    """Delete a version for good; its number is not used again."""
    reference = Reference.parse(dataset)
    if reference.version is None:
        raise InputError(f"dataset: expected NAME@VERSION, got {dataset!r:.80}")
    click.echo(f"{_datasets().delete(reference).reference}: deleted")


@dataset_command.command("show", short_help="Tell what a version is, and where it lies.")
@click.argument("dataset")
@click.option("--json", "as_json", is_flag=True, help="All that is known of it, as JSON.")
def show_command(dataset: str, as_json: bool) -> None:
    """Tell what a version is, of what it was made, what is in its columns, and where it lies."""
    datasets = _datasets()
    told = datasets.get(Reference.parse(dataset))
    path = str(datasets.path(told.reference))
    if as_json:
        click.echo(json.dumps(asdict(told) | {"path": path}, indent=2))
        return
    for line in view.summary(told, path):
        click.echo(line)


@dataset_command.command("diff", short_help="Tell in what two versions differ.")
@click.argument("one")
@click.argument("other")
def diff_command(one: str, other: str) -> None:
    """Tell in what two versions differ: declaration, sources, schema, statistics; or that not."""
    datasets = _datasets()
    for line in view.differences(*(datasets.get(Reference.parse(each)) for each in (one, other))):
        click.echo(line)


@dataset_command.command("lineage")
@click.argument("dataset")
@click.option(
    "--svg", type=click.Path(dir_okay=False, path_type=Path), help="Draw it into this file."
)
@click.option("--json", "as_json", is_flag=True, help="As events in the OpenLineage model.")
def lineage_command(dataset: str, svg: Path | None, as_json: bool) -> None:
    """Tell what a version is made of, however far back."""
    told = list(_datasets().lineage(Reference.parse(dataset)))
    if svg is not None:
        replace_file(svg, lineage.picture(told))
    if as_json:
        click.echo(json.dumps(lineage.events(told), indent=2))
    else:
        click.echo(view.lineage(told))


@dataset_command.command("verify", short_help="Make a version anew, and compare.")
@click.argument("dataset")
@engine_options
def verify_command(dataset: str, engine: Engine) -> None:
    """Make a version anew, of the tables as they were, and compare the checksums.

    Rows of shoppers who were forgotten since are left out of what is compared.

    Ends with 1 where they differ, and with 2 where it cannot be made of the same: the labels, the
    features or a file are others. Earlier versions of tables can be read for a week
    (`python -m features tidy`).
    """
    told, checksum = _datasets().rebuilt(Reference.parse(dataset), engine)
    same = checksum == told.checksum
    less = f", {view.lost(told)}" if told.erased else ""
    click.echo(f"{told.reference}: {'the same' if same else f'differs: {checksum}'}{less}")
    sys.exit(not same)


def _datasets() -> Datasets:
    return Datasets(home_directory())
