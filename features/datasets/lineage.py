"""Where a dataset comes from: as events in the OpenLineage model, and as a picture."""

from collections.abc import Iterable
from html import escape
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from features.datasets.dataset import Dataset, Upstream

NAMESPACE = "cuvee"
PRODUCER = "urn:cuvee:features"
_SPEC = "https://openlineage.io/spec"
_WIDE, _HIGH, _GAP_X, _GAP_Y, _LANE = 220, 44, 90, 18, 12
_LONGEST = 30
"""Characters of a name that a box has room for."""

_HEAD = (
    '<marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
    'orient="auto"><polygon points="0,0 8,4 0,8" fill="#999"/></marker>'
)


def events(lineage: Iterable[Dataset]) -> list[dict[str, Any]]:
    """Return a `RunEvent` for the making of each dataset.

    The model is that of https://openlineage.io/spec/2-0-2/OpenLineage.json.
    """
    return [_event(each) for each in lineage]


def _event(dataset: Dataset) -> dict[str, Any]:
    return {
        "eventType": "COMPLETE",
        "eventTime": dataset.created,
        "run": {"runId": str(uuid5(NAMESPACE_URL, f"{dataset.reference} {dataset.checksum}"))},
        "job": {
            "namespace": NAMESPACE,
            "name": f"dataset {dataset.name}: {', '.join(dataset.transformations)}",
        },
        "inputs": [_input(source) for source in dataset.sources],
        "outputs": [_output(dataset)],
        "producer": PRODUCER,
        "schemaURL": f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent",
    }


def _input(source: Upstream) -> dict[str, Any]:
    return {
        "namespace": NAMESPACE,
        "name": f"{source.kind} {source.name}",
        "facets": _version(source.version, source.checksum),
    }


def _output(dataset: Dataset) -> dict[str, Any]:
    fields = [{"name": name, "type": dtype} for name, dtype in dataset.schema.items()]
    return {
        "namespace": NAMESPACE,
        "name": f"dataset {dataset.name}",
        "facets": {
            **_version(dataset.version, dataset.checksum),
            "schema": _facet("1-2-0/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet")
            | {"fields": fields},
        },
        "outputFacets": {
            "outputStatistics": _facet(
                "1-0-2/OutputStatisticsOutputDatasetFacet.json"
                "#/$defs/OutputStatisticsOutputDatasetFacet"
            )
            | {"rowCount": dataset.rows, "size": dataset.size}
        },
    }


def _version(version: int | None, checksum: str) -> dict[str, Any]:
    told = checksum if version is None else str(version)
    facet = _facet("1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet")
    return {"version": facet | {"datasetVersion": told}}


def _facet(name: str) -> dict[str, Any]:
    return {"_producer": PRODUCER, "_schemaURL": f"{_SPEC}/facets/{name}"}


def picture(lineage: Iterable[Dataset]) -> str:
    """Return the lineage as SVG: what a dataset is made of stands to its left.

    What has columns between it and the dataset is led there below them all, in a lane of its own.
    """
    datasets = list(lineage)
    columns = _columns(datasets)
    places = {
        name: (column * (_WIDE + _GAP_X) + 10, row * (_HIGH + _GAP_Y) + 10)
        for column, names in enumerate(columns)
        for row, name in enumerate(names)
    }
    width = len(columns) * (_WIDE + _GAP_X) - _GAP_X + 20
    bottom = max(map(len, columns)) * (_HIGH + _GAP_Y) - _GAP_Y + 20
    arrows, height = [], bottom
    for each in datasets:
        for source in each.sources:
            begin, end = places[_label(source)], places[_title(each)]
            is_long = end[0] - begin[0] > _WIDE + _GAP_X
            arrows.append(_arrow(begin, end, height if is_long else None))
            height += _LANE if is_long else 0
    boxes = [_box(name, place) for name, place in places.items()]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="13">'
    )
    return "\n".join((head, _HEAD, *arrows, *boxes, "</svg>\n"))


def _columns(datasets: list[Dataset]) -> list[list[str]]:
    """Return what stands in each column, from what is made of nothing to the dataset itself."""
    depth = {_title(datasets[0]): 0}
    for each in datasets:  # what it is made of comes behind it
        for source in each.sources:
            label = _label(source)
            depth[label] = max(depth.get(label, 0), depth[_title(each)] + 1)
    deepest = max(depth.values())
    return [
        [name for name, told in depth.items() if told == deepest - column]
        for column in range(deepest + 1)
    ]


def _title(dataset: Dataset) -> str:
    return f"dataset {dataset.reference}"


def _label(source: Upstream) -> str:
    version = "" if source.version is None else f"@{source.version}"
    return f"{source.kind} {source.name}{version}"


def _box(name: str, place: tuple[int, int]) -> str:
    x, y = place
    return (
        f'<g><title>{escape(name)}</title><rect x="{x}" y="{y}" width="{_WIDE}" height="{_HIGH}" '
        f'rx="6" fill="#f6f3ee" stroke="#7a2e3a"/><text x="{x + 12}" y="{y + 27}">'
        f"{escape(_short(name))}</text></g>"
    )


def _short(name: str) -> str:
    """Return a name as a box has room for it: its kind, and the end that tells it from others."""
    if len(name) <= _LONGEST:
        return name
    kind, _, rest = name.partition(" ")
    return f"{kind} …{rest[len(kind) + 2 - _LONGEST :]}"


def _arrow(begin: tuple[int, int], end: tuple[int, int], lane: int | None) -> str:
    """Return an arrow from box to box, along the line `lane` where that is not None."""
    x1, y1, x2, y2 = begin[0] + _WIDE, begin[1] + _HIGH // 2, end[0], end[1] + _HIGH // 2
    if lane is None:
        way = _bend(x1, y1, x2, y2)
    else:
        down, up = x1 + _GAP_X, x2 - _GAP_X
        way = f"{_bend(x1, y1, down, lane)} L{up} {lane} {_bend(up, lane, x2, y2)}"
    return (
        f'<path d="M{x1} {y1} {way}" fill="none" stroke="#999" stroke-width="1.5" '
        'marker-end="url(#head)"/>'
    )


def _bend(x1: int, y1: int, x2: int, y2: int) -> str:
    middle = (x1 + x2) // 2
    return f"C{middle} {y1} {middle} {y2} {x2} {y2}"
