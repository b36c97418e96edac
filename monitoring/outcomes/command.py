"""`python -m monitoring outcomes`: what became of the lists that were served."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from features.errors import InputError
from features.home import home_directory
from features.lists import spool
from features.offline.store import OfflineStore
from monitoring.outcomes.attribution import DIMENSIONS
from monitoring.outcomes.cohorts import LENGTHS_MS, Cohort, Outcome, Outcomes, outcomes
from monitoring.outcomes.nowcast import Nowcast
from monitoring.outcomes.policy import policy_in_force
from monitoring.policies import policy_option

_GROUPS = {name.removesuffix("_version"): name for name in DIMENSIONS}
_FORMATS = {"hour": "%Y-%m-%d %H:%M", "day": "%Y-%m-%d", "week": "%Y-%m-%d"}
_WIDTH = 26


@click.command("outcomes")
@click.option(
    "--days",
    default=28,
    show_default=True,
    type=click.IntRange(1, 3_650),
    help="How far to look back.",
)
@click.option(
    "--every",
    default="day",
    show_default=True,
    type=click.Choice([*LENGTHS_MS]),
    help="What a cohort is.",
)
@click.option("--by", type=click.Choice([*_GROUPS]), help="Cohorts of each of these.")
@policy_option("CUVEE_OUTCOMES")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--export",
    "export_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the lists themselves to a Parquet file, with what became of each.",
)
def outcomes_command(
    days: int,
    every: str,
    by: str | None,
    policy_file: Path | None,
    as_json: bool,
    export_file: Path | None,
) -> None:
    """Show what became of lists that were served, by when they were.

    The share of lists that have an event of each type. An event counts for the list that it names,
    or else for the last one that showed its item to its shopper, for as long as is declared. What
    is marked ~ is an estimate: of that cohort more is to come. Ends with 2 where no list was
    served.
    """
    home, policy = home_directory(), policy_in_force(policy_file)
    store, now_ms = OfflineStore(home), int(time.time() * 1_000)
    told = outcomes(store, policy, now_ms, days, every, None if by is None else _GROUPS[by])
    if not told.cohorts:
        why = f"no list was served in {days} days, as far as {home} knows"
        if spool.is_waiting(home):
            why += "; some wait for their table, into which group offline carries them"
        raise InputError(why)
    if export_file is not None:
        from monitoring.outcomes.export import export  # noqa: PLC0415 - it reads features, too

        export(store, policy, now_ms, days, export_file)
    click.echo(json.dumps(_figures(told)) if as_json else "\n".join(_lines(told, every)))


def _figures(told: Outcomes) -> dict[str, object]:
    found = told.attribution
    return {
        "cohorts": [asdict(each) for each in told.cohorts],
        "events": found.events,
        "credited_by_id": found.by_id,
        "credited_by_shopper": len(found.credits) - found.by_id,
        "before_their_list": found.before,
        "lists_ahead": told.ahead,
    }


def _lines(told: Outcomes, every: str) -> Iterator[str]:
    kinds = list(told.cohorts[0].outcomes)
    has_groups = any(each.group is not None for each in told.cohorts)
    names = [_name(each, every, has_groups) for each in told.cohorts]
    width = max(map(len, [*names, "served (UTC)"]))
    heads = "".join(f"  {kind:<{_WIDTH}}" for kind in kinds)
    yield f"{'served (UTC)':<{width}}  {'lists':>9}  {'shoppers':>9}{heads}  revenue".rstrip()
    for name, each in zip(names, told.cohorts, strict=True):
        cells = "".join(f"  {_cell(each, each.outcomes[kind]):<{_WIDTH}}" for kind in kinds)
        line = f"{name:<{width}}  {each.lists:>9,}  {each.shoppers:>9,}{cells}  {_revenue(each)}"
        yield line.rstrip()
    yield from _notes(told)


def _name(cohort: Cohort, every: str, has_groups: bool) -> str:
    started = datetime.fromtimestamp(cohort.start_ms / 1_000, UTC).strftime(_FORMATS[every])
    return f"{started}  {cohort.group or '-'}" if has_groups else started


def _cell(cohort: Cohort, outcome: Outcome) -> str:
    so_far = outcome.lists / cohort.lists
    if outcome.is_mature:
        return f"{so_far:.2%}"
    if isinstance(outcome.nowcast, Nowcast):
        told = outcome.nowcast
        return f"~{told.rate:.2%} ({told.low:.2%}-{told.high:.2%})"
    return f"{so_far:.2%} so far"


def _revenue(cohort: Cohort) -> str:
    """Return what was paid for what the cohort's lists showed, for each list."""
    told = cohort.outcomes.get("purchase")
    if told is None:
        return ""
    return f"{told.value / cohort.lists:.3f}" + ("" if told.is_mature else " so far")


def _notes(told: Outcomes) -> Iterator[str]:
    found = told.attribution
    by_shopper = len(found.credits) - found.by_id
    yield (
        f"{found.events:,} events: {found.by_id:,} for the list they name, {by_shopper:,} for the "
        f"last that showed the item, others for none"
    )
    if found.before:
        yield f"{found.before:,} came before their list: a clock was set back"
    if told.ahead:
        yield f"{told.ahead:,} lists are of the future, by a clock that was ahead, and left out"
