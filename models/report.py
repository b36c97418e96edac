"""A page about a training run or an evaluation: every figure, drawn and in tables.

It is made of the manifest or of what was measured alone: the same in, the same page out. It
loads nothing from anywhere.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, NamedTuple

from models.evaluate import MODEL
from models.manifest import Manifest
from models.plot import Mark, intervals_plot
from models.titles import (
    FIGURES,
    LISTS,
    SPLITS,
    TEMPORAL,
    audiences_of,
    beside_popularity,
    is_judged,
    newcomers_are_shown,
    segments_of,
)

_NOTE = (
    "Lists of ten. Intervals hold 95 % of a bootstrap over shoppers; ± is one standard error of "
    "the difference, shopper by shopper. Items in a shopper's history that were bought, rated or "
    "refused are never shown."
)
_ORDERS = {
    "popularity": "none: what segments buy is better",
    "candidates": "their own scores",
    "sum": "a sum",
    "shown": "a sum that learnt from what was shown, too",
    "trees": "trees over a sum",
}
_UNJUDGED = "Too few shoppers had a history to judge this model by."


class _Row(NamedTuple):
    """A row of a table: its name, its cells as HTML, and whether it is the one in question."""

    name: str
    cells: str
    stands_out: bool = False


def training_page(manifest: Manifest) -> str:
    """Return the HTML page of the training run that made a bundle."""
    parameters = manifest.parameters
    facts = {
        "made": manifest.created,
        "data": manifest.dataset_version,
        "features": manifest.schema_hash,
        "items": f"{manifest.items:,}",
        **{name: parameters[name] for name in ("shoppers", "pairs", "seed") if name in parameters},
    }
    figures: Iterable[str] = [f"<p>{_UNJUDGED}</p>"]
    if is_judged(manifest.metrics):
        figures = _splits({TEMPORAL: manifest.metrics})
    body = [_facts(facts), *figures]
    return _page(f"Model {manifest.version}", [*body, *_choices(parameters)])


def evaluation_page(told: Mapping[str, Any]) -> str:
    """Return the HTML page of what `python -m models evaluate` measured."""
    body = [_facts({"data": told["dataset_version"]}), *_splits(told)]
    others = told["baselines"] or {}
    body += _choices(told["choices"])
    for name, each in others.items():
        caption = f"{LISTS[name]}: NDCG@10 by settings"
        body.append(_table(caption, ("settings", "NDCG@10"), _measured(each["validation"])))
    return _page("What training is worth", body)


def _page(title: str, body: Sequence[str]) -> str:
    template = Template(files("models").joinpath("report.html").read_text(encoding="utf-8"))
    return template.substitute(title=escape(title), body="\n".join(body))


def _facts(facts: Mapping[str, object]) -> str:
    return _table("Where it comes from", ("", "of this run"), _texts(facts))


def _splits(told: Mapping[str, Any]) -> Iterator[str]:
    yield f"<p>{escape(_NOTE)}</p>"
    for split, title in SPLITS.items():
        if split in told:
            figures = told[split]
            yield f"<h2>{escape(title)}</h2>"
            first, *others = audiences_of(figures)
            yield from _audience(*first)
            yield from _segments(segments_of(figures))
            for each in others:
                yield from _audience(*each)


def _audience(title: str, told: Mapping[str, Any]) -> Iterator[str]:
    names = [name for name in LISTS if name in told]
    yield f"<h3>{escape(title)}: {told[MODEL]['users']:,} judged</h3>"
    yield f"<p>{escape(beside_popularity(told).capitalize())}.</p>"
    yield intervals_plot(title, "NDCG@10", [_mark(name, told[name]) for name in names])
    rows = [_Row(LISTS[name], "".join(_cells(name, told)), name == MODEL) for name in names]
    columns = ("", *FIGURES.values(), "the model gains")
    yield _table(f"All figures: {title}", columns, rows)


def _mark(name: str, figures: Mapping[str, float]) -> Mark:
    value = figures["ndcg@10"]
    within = figures.get("ndcg@10_low", value), figures.get("ndcg@10_high", value)
    return Mark(LISTS[name], value, *within, name == MODEL)


def _cells(name: str, told: Mapping[str, Any]) -> Iterator[str]:
    figures, gain = told[name], told["gain"].get(name)
    for column in FIGURES:
        within = ""
        if f"{column}_low" in figures:
            within = f"<small>{figures[f'{column}_low']:z.4f} to {figures[f'{column}_high']:z.4f}"
            within += "</small>"
        yield f"<td>{figures[column]:z.4f}{within}</td>"
    yield f"<td>{gain['ndcg@10']:+z.4f} ±{gain['se']:z.4f}</td>" if gain else "<td></td>"


def _segments(told: Mapping[str, Any]) -> Iterator[str]:
    if not told:
        return
    names = [name for name in LISTS if name in next(iter(told.values()))]
    rows = [
        _Row(segment, f"<td>{each['users']:,}</td>" + "".join(_ndcg(each[name]) for name in names))
        for segment, each in told.items()
    ]
    columns = ("segment", "shoppers", *(LISTS[name] for name in names))
    yield _table("NDCG@10 by segment, the largest first", columns, rows)


def _ndcg(figures: Mapping[str, float]) -> str:
    return f"<td>{figures['ndcg@10']:z.4f} ±{figures['ndcg@10_se']:z.4f}</td>"


def _choices(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the validation split decided, and the figures by which it did."""
    yield "<h2>What validation chose</h2>"
    chosen = {
        "segments by": told.get("taste") or "nothing: everybody is alike",
        "their prior, in events": told.get("prior", ""),
        "candidates by": told.get("candidates", "EASE"),
        "λ of EASE": told.get("regularisation", ""),
        "affinities, what tells most first": ", ".join(told.get("affinities", ())) or "none",
    }
    if "half_life_days" in told:
        chosen["newcomers are shown"] = newcomers_are_shown(told)
    if "order" in told:
        chosen["candidates in the order of"] = _ORDERS.get(told["order"], told["order"])
    caption = "Decided on a split before the one that judges"
    yield _table(caption, ("", "chosen"), _texts(chosen))
    for name, measured in told.get("validation", {}).items():
        by = name.removeprefix("ndcg@10_by_").replace("_", " ")
        yield _table(f"NDCG@10 by {by}", (by, "NDCG@10"), _measured(measured))


def _texts(told: Mapping[str, object]) -> list[_Row]:
    return [
        _Row(name, f'<td class="text">{escape(str(value))}</td>') for name, value in told.items()
    ]


def _measured(told: Mapping[str, float]) -> list[_Row]:
    return [_Row(name or "everybody alike", f"<td>{each:z.4f}</td>") for name, each in told.items()]


def _table(caption: str, columns: Sequence[str], rows: Sequence[_Row]) -> str:
    head = "".join(
        f'<th scope="col">{escape(each)}</th>' if each else "<td></td>" for each in columns
    )
    body = [
        f'<tr class="own">{_cell(each)}</tr>' if each.stands_out else f"<tr>{_cell(each)}</tr>"
        for each in rows
    ]
    return "\n".join(
        [
            f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}">',
            f"<table><caption>{escape(caption)}</caption>",
            f"<thead><tr>{head}</tr></thead>",
            f"<tbody>{''.join(body)}</tbody></table></div>",
        ]
    )


def _cell(row: _Row) -> str:
    return f'<th scope="row">{escape(row.name)}</th>{row.cells}'
