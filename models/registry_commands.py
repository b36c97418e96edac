"""`python -m models list`, `show`, `verify`, `promote` and `rollback`."""

import json
from collections.abc import Sequence

import click

from features.home import home_directory
from models.manifest import Manifest
from models.registry import ALIASES, Registry


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def list_command(as_json: bool) -> None:
    """List every model, newest first, with its aliases and its NDCG@10 on the temporal split."""
    registry = Registry(home_directory())
    versions = (registry.production(), registry.previous(), registry.candidate())
    named = {alias: version for alias, version in zip(ALIASES, versions, strict=True) if version}
    rows = [_row(each, named) for each in registry.manifests()]
    click.echo(json.dumps(rows) if as_json else _table(rows))
    for version, reason in sorted(registry.damaged().items()):
        click.echo(f"damaged: {version}: {reason}", err=True)


@click.command("show")
@click.argument("model", default="production")
def show_command(model: str) -> None:
    """Show the manifest of MODEL, a version or an alias (production, previous, candidate)."""
    click.echo(Registry(home_directory()).manifest(model).to_json())


@click.command("verify")
@click.argument("model", default="production")
def verify_command(model: str) -> None:
    """Check MODEL to the last byte, and run it once."""
    loaded = Registry(home_directory()).load(model)
    loaded.warm()
    click.echo(
        f"{loaded.version}: intact, {len(loaded)} items, {loaded.cost_s * 1e6:.0f} µs a shopper"
    )


@click.command("promote")
@click.argument("model")
def promote_command(model: str) -> None:
    """Make MODEL, a version or `candidate`, the one that serves."""
    registry = Registry(home_directory())
    version = registry.resolve(model)
    registry.promote(version)
    click.echo(f"production is {version}")


@click.command("rollback")
def rollback_command() -> None:
    """Serve the previous model again; a second time goes forth again."""
    click.echo(f"production is {Registry(home_directory()).rollback()}")


def _row(manifest: Manifest, named: dict[str, str]) -> dict[str, object]:
    figures = manifest.metrics.get("model")
    ndcg = figures.get("ndcg@10") if isinstance(figures, dict) else None
    aliases = [alias for alias, version in named.items() if version == manifest.version]
    return {
        "version": manifest.version,
        "aliases": ",".join(aliases) or "-",
        "items": manifest.items,
        "ndcg@10": "-" if ndcg is None else round(ndcg, 4),
        "dataset": manifest.dataset_version,
    }


def _table(rows: Sequence[dict[str, object]]) -> str:
    if not rows:
        return "no models yet: python -m models train makes one"
    lines = [list(rows[0]), *([str(cell) for cell in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
