"""`python -m monitoring performance`: how well the lists of the model that serves do."""

import json
import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from features.errors import InputError
from features.home import home_directory
from features.offline.store import OfflineStore
from monitoring.outcomes.policy import policy_in_force as outcomes_in_force
from monitoring.performance.judged import Judged, judged
from monitoring.performance.moments import Figure
from monitoring.performance.policy import policy_in_force
from monitoring.performance.states import State
from monitoring.performance.verdict import Verdict
from monitoring.policies import policy_option

_ORDER = (State.WORSE, State.FINE, State.INSUFFICIENT, State.NO_BASELINE)


@click.command("performance")
@policy_option("CUVEE_PERFORMANCE")
@click.option("--all", "show_all", is_flag=True, help="Show every segment, not only what is worse.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
def performance_command(policy_file: Path | None, show_all: bool, as_json: bool) -> None:
    """Judge lists of the model that serves beside those of the one before, all of them mature.

    Prints each figure with its interval, over the shortest window in which there are lists enough,
    and leaves what was found under CUVEE_HOME, as python -m monitoring run does by itself. Ends
    with 1 where something is worse, with 2 where no list of the model was judged.
    """
    home = home_directory()
    policy, outcomes = policy_in_force(policy_file), outcomes_in_force()
    told = judged(OfflineStore(home), policy, outcomes, int(time.time() * 1_000))
    try:
        told.write(home)
    except OSError as error:
        raise InputError(f"{home}: findings cannot be left: {error.strerror}") from None
    click.echo(
        json.dumps(told.figures(), default=str) if as_json else "\n".join(_lines(told, show_all))
    )
    if not any(each.live is not None for each in told.verdicts):
        click.echo(f"error: no list of {told.version} is mature, as far as {home} knows", err=True)
        raise SystemExit(2)
    raise SystemExit(any(each.state is State.WORSE for each in told.verdicts))


def _lines(told: Judged, show_all: bool) -> Iterator[str]:
    yield f"model {told.version} beside {told.base or 'its own lists before'}"
    shown = [
        each
        for each in told.verdicts
        if each.segment is None or each.state is State.WORSE or show_all
    ]
    names = [_name(each) for each in shown]
    width = max(map(len, [*names, "metric"]))
    yield (
        f"{'metric':<{width}}  {'state':<14}  {'value':<27}  {'baseline':>9}  {'change':>8}  "
        f"{'lists':>9}  {'of':>9}  until"
    )
    rows = sorted(zip(names, shown, strict=True), key=lambda row: _ORDER.index(row[1].state))
    for name, each in rows:
        yield f"{name:<{width}}  {_line(each)}".rstrip()
    left = len(told.verdicts) - len(shown)
    if left:
        yield f"{left} figures of segments are not worse: --all shows them"
    yield from told.notes


def _name(each: Verdict) -> str:
    return each.metric if each.segment is None else f"{each.metric} {each.segment}"


def _line(each: Verdict) -> str:
    state = each.state if each.severity is None else f"{each.state}: {each.severity}"
    live, change = each.live, each.change
    need = each.least_lists
    until = datetime.fromtimestamp(each.span.end_ms / 1_000, UTC)
    base = "-" if each.base is None else f"{each.base.value:.4g}"
    moved = "-" if change is None else f"{change[0]:+.1%}"
    lists = 0 if live is None else live.lists
    wanted = "-" if need is None or math.isinf(need) else f"{math.ceil(need):,}"
    return (
        f"{state:<14}  {_words(live):<27}  {base:>9}  {moved:>8}  {lists:>9,}  {wanted:>9}"
        f"  {until:%Y-%m-%d}, {each.days} d{_blind(each)}"
    )


def _words(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    low, high = figure.interval()
    return f"{figure.value:.4g} ({low:.4g}-{high:.4g})"


def _blind(each: Verdict) -> str:
    """Return what so few lists would find, where they are too few."""
    least = each.least_effect
    if each.state is not State.INSUFFICIENT or least is None or math.isinf(least):
        return ""
    return f"; finds a drop of {least:.0%}"
