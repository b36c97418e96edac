"""`python -m models import`: a ranker that was made elsewhere, registered as a model."""

from collections.abc import Iterator
from pathlib import Path

import click

from models.bundle import Lineage
from models.code_revision import code_revision
from models.home_registry import home_registry, shared_registry, signing_key
from models.imported_ranker import ImportedRanker, read_ranker, write_imported
from models.journal import PRODUCTION
from models.placement import waits_here_if_away
from models.ranker_features import RANKER_FEATURES

WHY = "imported"

SLOW_S = 0.02
"""Seconds a shopper from which an order costs a good part of the 100 ms there are."""


def _tell_columns(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        click.echo("\n".join(RANKER_FEATURES))
        context.exit()


@click.command("import")
@click.argument("ranker", type=click.Path(path_type=Path))
@click.option(
    "--base",
    default=PRODUCTION,
    show_default=True,
    help="The model, a version or an alias, whose candidates it orders.",
)
@click.option(
    "--columns",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_tell_columns,
    help="Only name the columns of `features`, in order.",
)
def import_command(ranker: Path, base: str) -> None:
    """Register the ONNX file RANKER as a model that orders the candidates of another.

    It takes `features` float32[any, columns] and gives one output float32[any, 1], the higher the
    better. It is looked at and tried first, and waits as `candidate` for python -m models
    promote: nobody has measured it.
    """
    registry = home_registry()
    key = signing_key(registry.trusted)
    shared = shared_registry(registry)
    version = registry.resolve(base)
    model = registry.load(version)  # it holds the bundle until its files were copied
    fitting = read_ranker(ranker, model)
    lineage = Lineage(code_revision(), registry.production())
    made = write_imported(registry.directory, fitting, registry.manifest(version), lineage, key)
    del model
    ordered = registry.load(made)
    ordered.warm()
    for warning in _warnings(fitting, ordered.cost_s):
        click.echo(f"warning: {warning}", err=True)
    with waits_here_if_away(registry, made, WHY):
        (shared or registry).set_candidate(made, WHY)
    click.echo(
        f"{made}  candidate  orders what {version} finds, "
        f"{ordered.cost_s * 1e6:.0f} µs a shopper, not measured"
    )


def _warnings(ranker: ImportedRanker, cost_s: float) -> Iterator[str]:
    if ranker.distinct_scores == 1:
        yield (
            f"{ranker.file}: the same score for all of {ranker.candidates} candidates: "
            "it orders nothing, and they are shown as they were found"
        )
    if cost_s > SLOW_S:
        yield f"{ranker.file}: takes {cost_s * 1e3:.0f} ms a shopper, of the 100 there are"
