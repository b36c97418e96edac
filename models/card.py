"""A model card (Mitchell et al., FAT* 2019) in Markdown: nothing but what a manifest says."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from models.bundle_contents import INDEX, RANKER, TOWER
from models.evaluate import MODEL
from models.manifest import IMPORTED, Manifest
from models.manifest_diff import flat
from models.titles import (
    FIGURES,
    LISTS,
    audiences_of,
    beside_popularity,
    is_better,
    is_judged,
    segments_of,
)
from models.validated import VALIDATED, Validation

_NDCG = "ndcg@10"
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~])")


def model_card(manifest: Manifest) -> str:
    """Return the card of a bundle."""
    sections = (
        f"# Model {_text(manifest.version)}",
        _use(manifest),
        "## Data",
        _facts(_data(manifest)),
        "## Figures",
        *_figures(manifest.metrics),
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
    if not is_judged(metrics):
        yield "Not measured: nothing is known of its quality."
    elif metrics.get("beats_segments") is False:
        yield "Not better than segment popularity by more than two standard errors."
    for title, told in _audiences(metrics):
        if not is_better(told):
            yield f"{title}: {beside_popularity(told)}."
    if INDEX in files:
        yield "Candidates are looked up in an index, which may miss some."
    export = metrics.get("export")
    for name, value in flat(export) if isinstance(export, Mapping) else ():
        yield f"{name.replace('.', ': ').replace('_', ' ')} is {value} where it was exported."
    yield "All figures are of the past of the data above; they promise nothing of other data."


def _audiences(metrics: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each audience's title as a sentence begins, and its figures; none if not judged."""
    if is_judged(metrics):
        for title, told in audiences_of(metrics):
            yield f"{title[0].upper()}{title[1:]}", told


def _figures(metrics: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table for each audience, one of segments, and what came of a comparison."""
    if not is_judged(metrics):
        yield "The manifest holds no figures: it was not judged."
    for title, told in _audiences(metrics):
        yield f"### {_text(title)}: {told[MODEL]['users']:,} judged"
        yield _table(
            ("", *FIGURES.values(), "NDCG@10, 95 %", "the model gains"),
            (tuple(_line(name, told)) for name in LISTS if name in told),
        )
    if segments := segments_of(metrics):
        names = [name for name in LISTS if name in next(iter(segments.values()))]
        yield "### NDCG@10 by segment, the largest first"
        yield _table(
            ("segment", "shoppers", *(LISTS[name] for name in names)),
            (
                (segment, told["users"], *(_number(told[name][_NDCG]) for name in names))
                for segment, told in segments.items()
            ),
        )
    if VALIDATED in metrics:
        yield "### Beside the model that served"
        yield _text(Validation.of(metrics[VALIDATED]))


def _line(name: str, told: Mapping[str, Any]) -> Iterator[str]:
    figures, gain = told[name], told["gain"].get(name)
    yield LISTS[name]
    yield from (_number(figures[column]) for column in FIGURES)
    yield f"{_number(figures[f'{_NDCG}_low'])} to {_number(figures[f'{_NDCG}_high'])}"
    yield f"{gain[_NDCG]:+z.4f} ±{gain['se']:z.4f}" if gain else ""


def _number(figure: float) -> str:
    return f"{figure:z.4f}"


def _facts(facts: Iterable[tuple[str, object]]) -> str:
    return _table(("", ""), facts)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head)]
    lines += [["" if cell is None else _text(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(value: object) -> str:
    """Return a value so that Markdown shows it as it is."""
    return _MARKUP.sub(r"\\\1", " ".join(str(value).split()))
