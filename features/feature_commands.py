"""`python -m features list`, `describe` and `validate`: which features there are."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import click

from features.declared import FEATURE_SET
from features.errors import InputError
from features.feature import Feature, FeatureView, Profile, Recency, Window
from features.feature_set import FeatureSet, load
from features.wording import counted

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


@click.command("list")
@click.option("--markdown", is_flag=True, help="As the tables of docs/features.md.")
def list_command(markdown: bool) -> None:
    """List every feature: its view, how it is computed, its type, default and range."""
    if markdown:
        click.echo(tables(FEATURE_SET))
        return
    rows = [
        (each.name, view.name, each.dtype, f"{each.default:.10g}", _range(each), computed(each))
        for view in FEATURE_SET.views
        for each in view.features
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
    click.echo(
        f"\nschema {FEATURE_SET.schema_hash}, {counted(len(FEATURE_SET.features), 'feature')}"
    )


@click.command("describe")
@click.argument("name")
def describe_command(name: str) -> None:
    """Tell all that is declared of feature NAME, as JSON."""
    try:
        view = FEATURE_SET.view_of(name)
    except KeyError:
        known = ", ".join(FEATURE_SET.names)
        raise InputError(f"NAME: there is no feature {name!r:.80}; known are {known}") from None
    (feature,) = (each for each in view.features if each.name == name)
    told = {
        "name": feature.name,
        "description": feature.description,
        "view": view.name,
        "entity": {"name": view.entity.name, "join_key": view.entity.join_key},
        "computed": computed(feature),
        "type": feature.dtype,
        "default": feature.default,
        "low": _finite(feature.low),
        "high": _finite(feature.high),
        "ttl_s": view.ttl_s,
        "owner": view.owner,
    }
    click.echo(json.dumps(told, indent=2))


@click.command("validate")
@click.argument("path", type=click.Path(path_type=Path), required=False)
def validate_command(path: Path | None) -> None:
    """Check the features declared in the Python file PATH, else those of this process."""
    told = load(path) if path else FEATURE_SET
    click.echo(
        f"{counted(len(told.features), 'feature')} in {counted(len(told.views), 'view')}, "
        f"schema {told.schema_hash}"
    )


def computed(feature: Feature) -> str:
    """Return in a few words how a feature is computed."""
    if isinstance(feature, Window):
        return f"{feature.aggregation} of {_types(feature)} in {_span(feature.seconds)}"
    if isinstance(feature, Recency):
        return f"seconds since {_types(feature)}"
    if isinstance(feature, Profile):
        return "the shopper's record"
    return "the request"


def tables(features: FeatureSet) -> str:
    """Return the views as tables of Markdown."""
    return "\n".join(_views(features))


def _views(features: FeatureSet) -> Iterator[str]:
    for view in features.views:
        yield from _table(view)
    yield f"Schema `{features.schema_hash}`."


def _table(view: FeatureView) -> Iterator[str]:
    yield f"## {view.name.capitalize()}\n"
    entity = f"Of a {view.entity.name} (`{view.entity.join_key}`)"
    yield f"{view.description} {entity}; {_span(view.ttl_s)}; owner: {view.owner}.\n"
    yield "| feature | | computed from | type | default | range |"
    yield "|---|---|---|---|---|---|"
    for feature in view.features:
        cells = (
            f"`{feature.name}`",
            feature.description,
            computed(feature),
            feature.dtype,
            f"{feature.default:.10g}",
            _range(feature),
        )
        yield f"| {' | '.join(cells)} |"
    yield ""


def _finite(number: float) -> float | None:
    return None if math.isinf(number) else number


def _types(feature: Window | Recency) -> str:
    return " or ".join(feature.types)


def _span(seconds: int) -> str:
    size, unit = next(each for each in _UNITS if seconds % each[0] == 0)
    count = seconds // size
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _range(feature: Feature) -> str:
    return f"from {feature.low:g}" + ("" if math.isinf(feature.high) else f" to {feature.high:g}")
