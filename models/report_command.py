"""`python -m models report`: the page about the training run that made a model."""

from pathlib import Path

import click

from features.errors import InputError
from features.home import home_directory
from models.directory import replace_file
from models.manifest import Manifest
from models.registry import Registry
from models.report import training_page


@click.command("report")
@click.argument("model", default="production")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write it; by default CUVEE_HOME/reports/VERSION.html.",
)
def report_command(model: str, output: Path | None) -> None:
    """Write the HTML report of MODEL, a version or an alias, and say where.

    It is made of the manifest alone, so that it can be made again whenever it is wanted.
    """
    registry = Registry(home_directory())
    manifest = registry.manifest(model)
    click.echo(write_report(manifest, output or registry.report_path(manifest.version)))


def write_report(manifest: Manifest, path: Path) -> Path:
    """Write the page about a training run and return `path`; raise `InputError` if it cannot."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, training_page(manifest).encode())
    except OSError as error:
        raise InputError(f"report: {path}: not written: {error.strerror or error}") from None
    return path
