"""`python -m models evaluate`: what a model trained like this would be worth."""

import json
from typing import Any

import click

from features.errors import InputError
from features.home import home_directory
from features.offline import OfflineStore
from features.progress import progress
from models.evaluate import CANDIDATES, MODEL, POPULARITY, RECENT, SEGMENT
from models.training import STEPS, read, try_out

_TITLES = {
    POPULARITY: "popularity",
    RECENT: "recent popularity",
    SEGMENT: "segment popularity",
    CANDIDATES: "candidates alone",
    MODEL: "the model",
}
_COLUMNS = {
    "ndcg@10": "NDCG@10",
    "recall@10": "Recall@10",
    "mrr@10": "MRR@10",
    "hitrate@10": "HitRate@10",
    "coverage@10": "coverage@10",
    "novelty@10": "novelty, bits",
    "gini@10": "Gini",
}


@click.command("evaluate")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0, 2**32 - 1),
    help="Equal data and seeds give equal figures.",
)
def evaluate_command(as_json: bool, seed: int) -> None:
    """Measure, on a temporal split, what training on CUVEE_HOME is worth.

    A model is trained on the first 90 % of the past, and judged on what shoppers with five
    items or more went on to want in the last 10 %: bought, or gave four stars and more. Beside
    it stand popularity (of all time and of late), what the shopper's segment buys, and the
    candidates without the ranker. Nothing is written.
    """
    with progress("evaluating", STEPS) as bar:
        timeline = read(OfflineStore(home_directory()), seed)
        trial = try_out(timeline, lambda _: bar.advance())
    if trial.figures is None:
        raise InputError("events: too few shoppers with a history to judge anything by")
    told = trial.figures.told()
    choices = timeline.choices.told()
    click.echo(json.dumps({**told, "choices": choices}) if as_json else _table(told, choices))


def _table(told: dict[str, Any], choices: dict[str, Any]) -> str:
    """Return the figures as an aligned table."""
    names = [name for name in _TITLES if name in told]
    lines: list[tuple[str, ...]] = [("", *_COLUMNS.values(), "NDCG@10, 95 %", "model gains NDCG")]
    lines += [_line(name, told) for name in names]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rows = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    taste = choices["taste"] or "none"
    rows.append(f"\n{told[MODEL]['users']} shoppers; segments by {taste.replace(',', ' and ')}")
    return "\n".join(rows)


def _line(name: str, told: dict[str, Any]) -> tuple[str, ...]:
    figures, gain = told[name], told["gain"].get(name)
    gains = f"{gain['ndcg@10']:+.4f} ±{gain['se']:.4f}" if gain else ""
    within = f"{figures['ndcg@10_low']:.4f} to {figures['ndcg@10_high']:.4f}"
    return _TITLES[name], *(f"{figures[column]:.4f}" for column in _COLUMNS), within, gains
