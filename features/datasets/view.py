"""A version of a dataset, where it comes from, and what differs between two, for people."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from features.aligned import aligned
from features.datasets.dataset import Dataset, Upstream
from features.wording import counted

_TITLES = ("column", "type", "missing", "different", "least", "greatest", "mean")
_STATISTICS = ("nulls", "distinct", "min", "max", "mean")
_SHOWN = 12
"""Digits of a checksum that tell it from others at a glance."""


def summary(dataset: Dataset, path: str) -> Iterator[str]:
    """Yield lines about a version whose data lie at `path`: what it is, of what, its columns."""
    about = {
        "dataset": f"{dataset.reference}, made {dataset.created}",
        "rows": f"{dataset.rows:,}, {dataset.size:,} bytes",
        "data": path,
        "labels": " ".join(dataset.declaration.labels.split()),
        "as of": dataset.declaration.as_of,
        "features": f"schema {dataset.features}, {dataset.features_file or 'our own'}",
        "made of": ", ".join(map(_source, dataset.sources)),
        "checksum": dataset.checksum,
    }
    if dataset.erased:
        about["rows"] += f", {lost(dataset)}"
    yield from (f"{name:<10}{told}" for name, told in about.items())
    yield ""
    columns = (
        (name, dtype, *(_figure(dataset.statistics[name].get(key)) for key in _STATISTICS))
        for name, dtype in dataset.schema.items()
    )
    yield aligned([_TITLES, *columns])


def lost(dataset: Dataset) -> str:
    """Return what is gone of a version of which something is, and when it last was."""
    rows = sum(each.rows for each in dataset.erased)
    until = dataset.erased[-1].on
    return f"without {counted(rows, 'row')} of forgotten shoppers, deleted until {until}"


def lineage(datasets: Iterable[Dataset]) -> str:
    """Return a table of what each of `datasets` is made of."""
    lines = [("dataset", "made of", "checksum", "labels as of")]
    for each in datasets:
        first = str(each.reference)
        for source in each.sources:
            checksum = source.checksum[:_SHOWN]
            lines.append(
                (first, _source(source), checksum, each.declaration.as_of if first else "")
            )
            first = ""
    return aligned(lines)


def differences(one: Dataset, other: Dataset) -> Iterator[str]:
    """Yield a line for each thing in which two versions differ, or one that they do not."""
    told = list(_all_differences(one, other))
    if told:
        yield f"{one.reference} → {other.reference}"
        yield from told
    else:
        yield f"{one.reference} and {other.reference} are equal: checksum {one.checksum[:_SHOWN]}"


def _all_differences(one: Dataset, other: Dataset) -> Iterator[str]:
    yield from _differences("declared", asdict(one.declaration), asdict(other.declaration))
    for name in ("labels", "features", "tables", "rows", "checksum"):
        yield from _difference(name, getattr(one, name), getattr(other, name))
    yield from _differences("source", _checksums(one), _checksums(other))
    yield from _differences("column", one.schema, other.schema)
    for name in sorted(one.statistics.keys() & other.statistics.keys()):
        yield from _differences(name, one.statistics[name], other.statistics[name])


def _checksums(dataset: Dataset) -> dict[str, str]:
    return {f"{each.kind} {each.name}": each.checksum for each in dataset.sources}


def _differences(what: str, one: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    for name in sorted(one.keys() | other.keys()):
        yield from _difference(f"{what} {name}", one.get(name), other.get(name))


def _difference(what: str, one: object, other: object) -> Iterator[str]:
    if one != other:
        yield f"  {what}: {_told(one)} → {_told(other)}"


def _told(value: object) -> str:
    return "-" if value is None else str(value)


def _source(source: Upstream) -> str:
    version = "" if source.version is None else f"@{source.version}"
    return f"{source.kind} {source.name}{version}"


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
