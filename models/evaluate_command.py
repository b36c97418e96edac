"""`python -m models evaluate`: what a model trained like this would be worth."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from features.errors import InputError
from features.home import home_directory
from features.offline.store import OfflineStore
from features.progress import progress
from models.baselines import EXTRA, Chosen, are_there, baseline_lists, choose_baselines
from models.comparison import Others, nobody_else
from models.evaluate import MODEL
from models.orders import Kept
from models.page_file import write_page
from models.report import evaluation_page
from models.timeline import VALIDATION, Timeline
from models.titles import (
    FIGURES,
    LEFT_OUT,
    LISTS,
    SPLITS,
    TEMPORAL,
    audiences_of,
    beside_popularity,
    newcomers_are_shown,
)
from models.training import Step, one_thread, read, try_left_out, try_out

BOTH = "both"
_STEPS = {TEMPORAL: 4, LEFT_OUT: 4, BOTH: 7}
_WITHOUT = (
    f"item-kNN, ALS and EASE are left out: pip install 'cuvee[{EXTRA}]' brings their libraries"
)


@click.command("evaluate")
@click.option(
    "--split",
    default=TEMPORAL,
    show_default=True,
    type=click.Choice(["temporal", "leave-last-out", BOTH]),
    help="What is learnt from, and what judges.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, intervals and all.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write an HTML page of all of it, too.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0, 2**32 - 1),
    help="Equal data and seeds give equal figures.",
)
def evaluate_command(split: str, as_json: bool, report: Path | None, seed: int) -> None:
    """Measure what training on CUVEE_HOME is worth, beside what others would show.

    The split in time trains on the first 90 % of the past, and judges by what shoppers went on
    to want in the last 10 %: bought, or gave four stars and more. Told apart are shoppers with a
    history, with hardly any, with none, strangers on an item's page, anonymous sessions, and new
    items. Leaving out what each shopper wanted last is a second opinion: it learns from what others
    did later.

    Beside the model stand popularity (of all time and of late), what the shopper's segment buys,
    the candidates without the ranker, and item-kNN, ALS and EASE from the libraries of the extra
    `baselines`, tuned on a validation split. No model is written.
    """
    split = split.replace("-", "_")
    with progress("evaluating", _STEPS[split]) as bar:
        store = OfflineStore(home_directory())
        version = store.version()  # what comes while it is read, and later, is not judged
        with one_thread():
            timeline = read(store.at(version), seed)
            told = measure(timeline, split, lambda _: bar.advance())
    told["dataset_version"] = version
    if told["baselines"] is None:
        click.echo(_WITHOUT, err=True)
    click.echo(json.dumps(told) if as_json else "\n".join(_tables(told)))
    if report is not None:  # last: figures that took minutes are told, whatever becomes of a page
        write_page(report, evaluation_page(told))


def measure(timeline: Timeline, split: str, step: Step = lambda _: None) -> dict[str, Any]:
    """Return the figures on a split or both, JSON-able; raise `InputError` for too little data."""
    if not timeline.can_be_judged:
        raise InputError("events: too few shoppers with a history to judge anything by")
    step("choosing what others need")
    chosen = choose_baselines(timeline.split(VALIDATION), timeline.seed) if are_there() else None
    others = nobody_else if chosen is None else _lists_of(chosen)
    told: dict[str, Any] = {"baselines": None if chosen is None else _settings(chosen)}
    choices = timeline.choices.told()
    if split in (TEMPORAL, BOTH):
        trial = try_out(timeline, step, others)
        if trial.comparison is None:
            raise InputError("events: too few shoppers who met two items to learn from")
        told[TEMPORAL] = trial.comparison.told()
        choices = trial.chosen.told_beside(choices)
    if split in (LEFT_OUT, BOTH):
        told[LEFT_OUT] = try_left_out(timeline, step, others).told()
    return {**told, "choices": choices}


def _lists_of(chosen: Mapping[str, Chosen]) -> Others:
    return lambda split: {name: baseline_lists(each.fit, split) for name, each in chosen.items()}


def _settings(chosen: Mapping[str, Chosen]) -> dict[str, Any]:
    return {
        name: {
            "settings": each.settings,
            "validation": {key: round(value, 5) for key, value in each.measured.items()},
        }
        for name, each in chosen.items()
    }


def _tables(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield the figures as aligned tables."""
    for split, title in SPLITS.items():
        if split not in told:
            continue
        yield f"{title}\n"
        for each in audiences_of(told[split]):
            yield _table(*each)
    choices = told["choices"]
    taste = choices["taste"] or "none"
    yield f"segments by {taste.replace(',', ' and ')}"
    yield f"newcomers are shown {newcomers_are_shown(choices)}"
    if choices.get("order") == Kept.POPULARITY.value:
        yield "the model shows what segments buy: personal lists were worse where that was chosen"


def _table(title: str, told: Mapping[str, Any]) -> str:
    lines = [("", *FIGURES.values(), "NDCG@10, 95 %", "model gains NDCG")]
    lines += [_line(name, told) for name in LISTS if name in told]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rows = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    head = f"{title} ({told[MODEL]['users']})"
    return "\n".join([head, *rows, beside_popularity(told), ""])


def _line(name: str, told: Mapping[str, Any]) -> tuple[str, ...]:
    figures, gain = told[name], told["gain"].get(name)
    gains = f"{gain['ndcg@10']:+z.4f} ±{gain['se']:z.4f}" if gain else ""
    within = f"{figures['ndcg@10_low']:z.4f} to {figures['ndcg@10_high']:z.4f}"
    return LISTS[name], *(f"{figures[column]:z.4f}" for column in FIGURES), within, gains
