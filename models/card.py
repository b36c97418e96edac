"""A model card (Mitchell et al., FAT* 2019) in Markdown: nothing but what a manifest says."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from models.bundle_contents import INDEX, RANKER, TOWER
from models.manifest import IMPORTED, Manifest
from models.manifest_diff import flat

_NDCG = "ndcg@10"
_COLUMNS = (
    "users", "recall@10", "mrr@10", "hitrate@10", "coverage@10", "novelty@10", "gini@10",
)  # fmt: skip
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~])")


def model_card(manifest: Manifest) -> str:
    """Return the card of a bundle."""
    sections = (
        f"# Model {_text(manifest.version)}",
        _use(manifest),
        "## Data",
        _facts(_data(manifest)),
        "## Figures",
        *(_figures(manifest.metrics) or ["The manifest holds no figures: it was not judged."]),
        "## Limits",
        "\n".join(f"- {_text(each)}" for each in _limits(manifest)),
        "## Parameters",
        _facts(flat(manifest.parameters)),
        "## Lineage",
        _facts(_lineage(manifest)),
        "## Files",
        _table(
            ("file", "bytes", "SHA-256"),
            ((name, told.size, told.sha256) for name, told in sorted(manifest.files.items())),
        ),
    )
    return "\n\n".join(sections) + "\n"


def _use(manifest: Manifest) -> str:
    ranks = "a list for each shopper, items similar to one, and " if TOWER in manifest.files else ""
    return (
        f"Made to order the {manifest.items} items of one shop: {ranks}what is popular in each "
        "segment. It knows nothing of other shops."
    )


def _data(manifest: Manifest) -> Iterator[tuple[str, object]]:
    yield "dataset version", manifest.dataset_version
    yield "items", manifest.items
    for name in ("shoppers", "pairs"):
        if name in manifest.parameters:
            yield name, manifest.parameters[name]


def _lineage(manifest: Manifest) -> Iterator[tuple[str, object]]:
    yield "made", manifest.created
    yield "code revision", manifest.code_revision or "not told"
    yield "served when it was made", manifest.parent or "none told"
    yield "features", manifest.schema_hash
    yield "signed with key", manifest.signature.key if manifest.signature else "not signed"


def _limits(manifest: Manifest) -> Iterator[str]:
    metrics, files = manifest.metrics, manifest.files
    if TOWER not in files:
        yield "No personal part: shoppers of a segment get the same list."
    elif RANKER not in files:
        yield "No ranker: candidates are shown in the order in which they were found."
    if IMPORTED in manifest.parameters:
        yield "Its ranker was made elsewhere: who knows from what, and how well it orders."
    if not list(_tables(metrics)):
        yield "Not measured: nothing is known of its quality."
    elif metrics.get("beats_segments") is False:
        yield "Not better than segment popularity by more than two standard errors."
    if INDEX in files:
        yield "Candidates are looked up in an index, which may miss some."
    export = metrics.get("export")
    for name, value in flat(export) if isinstance(export, Mapping) else ():
        yield f"{name.replace('.', ': ').replace('_', ' ')} is {value} where it was exported."
    yield "All figures are of the past of the data above; they promise nothing of other data."


def _figures(metrics: Mapping[str, Any]) -> list[str]:
    """Return a table for each group of figures: the model and its rivals, segments and so on."""
    blocks = []
    for title, rows in _tables(metrics):
        if title:
            blocks.append(f"### {_text(title)}")
        columns = [each for each in _COLUMNS if any(each in told for _, told in rows)]
        blocks.append(
            _table(
                ("", "NDCG@10", "95 %", *columns),
                (
                    (_plain(name), told[_NDCG], _interval(told), *(told.get(c) for c in columns))
                    for name, told in rows
                ),
            )
        )
    if isinstance(gains := metrics.get("gain"), Mapping):
        gained = [(_plain(name), each.get(_NDCG), each.get("se")) for name, each in gains.items()]
        blocks.append(_table(("the model gains over", "NDCG@10", "standard error"), gained))
    return blocks


def _tables(
    metrics: Mapping[str, Any], above: str = ""
) -> Iterator[tuple[str, list[tuple[str, Mapping[str, Any]]]]]:
    """Yield each group of figures that stand side by side, with the names they stand under."""
    nested = {name: each for name, each in metrics.items() if isinstance(each, Mapping)}
    nested = {name: each for name, each in nested.items() if name not in {"gain", "export"}}
    if rows := [(name, each) for name, each in nested.items() if _NDCG in each]:
        yield above, rows
    for name, each in nested.items():
        yield from _tables(each, f"{above}{': ' if above else ''}{_plain(name)}")


def _interval(told: Mapping[str, Any]) -> str:
    low, high = told.get(f"{_NDCG}_low"), told.get(f"{_NDCG}_high")
    return "" if low is None or high is None else f"{low} to {high}"


def _facts(facts: Iterable[tuple[str, object]]) -> str:
    return _table(("", ""), facts)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head)]
    lines += [["" if cell is None else _text(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _text(value: object) -> str:
    """Return a value so that Markdown shows it as it is."""
    return _MARKUP.sub(r"\\\1", " ".join(str(value).split()))
