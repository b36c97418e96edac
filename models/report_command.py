"""`python -m models report`: the page about the training run that made a model."""

from pathlib import Path

import click

from models.home_registry import home_registry
from models.manifest import Manifest
from models.page_file import write_page
from models.report import training_page


@click.command("report")
@click.argument("model", default="production")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write it; by default CUVEE_HOME/reports/VERSION.html.",
)
def report_command(model: str, output: Path | None) -> None:
    """Write the HTML report of MODEL, a version or an alias, and say where.

    It is made of the manifest alone, so that it can be made again whenever it is wanted.
    """
    registry = home_registry()
    manifest = registry.manifest(model)
    click.echo(write_report(manifest, output or registry.report_path(manifest.version)))


def write_report(manifest: Manifest, path: Path) -> Path:
    """Write the page about a training run and return `path`; raise `InputError` if it cannot."""
    return write_page(path, training_page(manifest))
