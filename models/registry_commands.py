"""`python -m models list`, `show`, `diff`, `verify`, `promote`, `rollback`, `history` and `gc`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import islice

import click
import orjson

from features.home import home_directory
from models.alias_registry import AliasRegistry, Cleared
from models.errors import NewerBundleError
from models.home_registry import (
    home_registry,
    required_shared_registry,
    shared_registry,
    trusted_keys,
)
from models.journal import Record
from models.manifest import Manifest, parse_version
from models.manifest_diff import Difference, differences, flat
from models.registry import Registry
from models.why import parse_why

here_option = click.option("--here", is_flag=True, help="This home alone, not CUVEE_REGISTRY.")
why_option = click.option(
    "--why",
    default="",
    callback=lambda _context, _option, told: parse_why(told, "--why") if told else "",
    help="The reason, for the history.",
)
who_option = click.option("--who", help="Who says so, for the history.  [default: you]")
shared_option = click.option(
    "--shared", "in_shared", is_flag=True, help="Of CUVEE_REGISTRY, not of this home."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")


@click.command("list")
@json_option
@shared_option
def list_command(as_json: bool, in_shared: bool) -> None:
    """List every model, newest first, with its aliases and its NDCG@10 on the temporal split.

    Where a key is set or one is signed, with the key that signed it; `verify` checks that.
    """
    registry = _told_of(in_shared)
    named, manifests = registry.aliases().versions(), registry.manifests()
    rows = [_row(each, named) for each in manifests]
    if trusted_keys() is not None or any(each.signature for each in manifests):
        for row, manifest in zip(rows, manifests, strict=True):
            row["signed"] = "-" if manifest.signature is None else manifest.signature.key
    where = registry if in_shared else home_directory().absolute()
    none = f"no models yet in {where}: python -m models train makes one"
    click.echo(json.dumps(rows) if as_json else table(rows, none))
    if isinstance(registry, Registry):
        for version, error in sorted(registry.unreadable().items()):
            what = "not read" if isinstance(error, NewerBundleError) else "damaged"
            click.echo(f"{what}: {version}: {error}", err=True)
        for path, name in registry.astray().items():
            click.echo(f"warning: {path}: names no model that is here: {name!r:.80}", err=True)


@click.command("show")
@click.argument("model", default="production")
def show_command(model: str) -> None:
    """Show the manifest of MODEL, a version or an alias (production, previous, candidate)."""
    click.echo(home_registry().manifest(model).to_json())


@click.command("diff")
@click.argument("first", default="previous")
@click.argument("second", default="production")
@json_option
def diff_command(first: str, second: str, as_json: bool) -> None:
    """Show what differs between FIRST and SECOND: data, features, parameters, metrics and files."""
    registry = home_registry()
    manifests = registry.manifest(first), registry.manifest(second)
    found = differences(*manifests)
    if as_json:
        click.echo(orjson.dumps([asdict(each) for each in found]))
        return
    same = "no difference but in when they were made"
    rows = [_difference(each, manifests[0].version, manifests[1].version) for each in found]
    click.echo(table(rows, same))


@click.command("verify")
@click.argument("model", default="production")
def verify_command(model: str) -> None:
    """Check MODEL to the last byte, its signature where a key is set, and run it once."""
    registry = home_registry()
    loaded = registry.load(model)
    loaded.warm()
    signature = registry.manifest(model).signature
    signed = "not signed"
    if signature is not None:
        trusted = "" if registry.trusted else ", which was not checked: no key is set"
        signed = f"signed with key {signature.key}{trusted}"
    click.echo(
        f"{loaded.version}: intact, {len(loaded)} items, "
        f"{loaded.cost_s * 1e6:.0f} µs a shopper, {signed}"
    )


@click.command("promote")
@click.argument("model")
@why_option
@who_option
@here_option
def promote_command(model: str, why: str, who: str | None, here: bool) -> None:
    """Make MODEL, a version or `candidate`, the one that serves, here and in CUVEE_REGISTRY."""
    click.echo(f"production is {moved_registry(here).promote(model, why, who)}")


@click.command("rollback")
@click.option(
    "--serves",
    metavar="VERSION",
    callback=lambda _context, _option, told: (
        told if told is None else parse_version(told, "--serves")
    ),
    help="Only if this version serves: what was meant may have gone.",
)
@why_option
@who_option
@here_option
def rollback_command(serves: str | None, why: str, who: str | None, here: bool) -> None:
    """Serve the previous model again; a second time goes forth again."""
    click.echo(f"production is {moved_registry(here).rollback(why, who, serves=serves)}")


@click.command("history")
@click.option("--last", default=20, show_default=True, type=click.IntRange(1), help="How many.")
@json_option
@shared_option
def history_command(last: int, as_json: bool, in_shared: bool) -> None:
    """Show who moved which alias, when and why, newest first."""
    records = list(islice(_told_of(in_shared).history(), last))
    if as_json:
        click.echo(orjson.dumps([each.told() for each in records]))
        return
    click.echo(table([_move(each) for each in records], "no alias was moved yet"))


@click.command("gc")
@click.option("--keep", default=5, show_default=True, type=click.IntRange(0), help="How many.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@shared_option
def gc_command(keep: int, dry_run: bool, in_shared: bool) -> None:
    """Remove all models but the newest, those with an alias, and those that a process reads."""
    cleared = _told_of(in_shared).clear(keep, dry_run=dry_run)
    click.echo("\n".join(_cleared(cleared, "would be removed" if dry_run else "removed")))


def _cleared(cleared: Cleared, done: str) -> Iterable[str]:
    yield from (f"{version}: {done}" for version in cleared.versions)
    yield from (f"{version}: kept, {why}" for version, why in cleared.kept.items())
    blobs = f" and {cleared.blobs} blobs" if cleared.blobs else ""
    yield f"{len(cleared.versions)} models{blobs} {done}, {cleared.size / 1e6:.1f} MB"


def _told_of(in_shared: bool) -> AliasRegistry:
    """Return the registry that is asked about."""
    registry = home_registry()
    return required_shared_registry(registry) if in_shared else registry


def moved_registry(here: bool) -> AliasRegistry:
    """Return where aliases are moved: in the registry that homes share, if there is one."""
    registry = home_registry()
    return registry if here else shared_registry(registry) or registry


def _difference(each: Difference, first: str, second: str) -> dict[str, object]:
    values = [_short(each.first), _short(each.second)]
    change = ""
    if isinstance(each.first, int | float) and isinstance(each.second, int | float):
        change = f"{each.second - each.first:+.6g}"
    named = {"": f"{each.part}: {each.name}", first: values[0], second: values[1]}
    return {**named, "change": change}


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{sum(1 for _ in flat(value))} values"
    text = "-" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _move(record: Record) -> dict[str, object]:
    aliases, canary = record.aliases.versions(), record.aliases.canary
    if canary is not None:
        aliases["canary"] = f"{canary.version} {canary.share:.2%}"
    return {
        "number": record.number,
        "at": f"{record.at[:19]}Z",
        "action": record.action,
        "who": record.who,
        **{alias: version or "-" for alias, version in aliases.items()},
        "why": record.why or "-",
    }


def _row(manifest: Manifest, named: dict[str, str | None]) -> dict[str, object]:
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


def table(rows: Sequence[dict[str, object]], none: str) -> str:
    """Return rows as aligned text, `none` where there are none."""
    if not rows:
        return none
    lines = [list(rows[0]), *([str(cell) for cell in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
