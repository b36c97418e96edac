"""`python -m monitoring calibrate`: limits for the false alarms that can be borne."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import click
import yaml

from features.errors import InputError
from features.home import home_directory
from models.directory import replace_file
from models.reference.rows import Rows
from models.reference.sample import COUNTRY
from models.reference.stored import read_reference
from models.registry import Registry
from monitoring.drift.budget import Budget
from monitoring.drift.columns import Column, NumericColumn
from monitoring.drift.policy import Policy, policy_in_force
from monitoring.drift.replay import Looks, Replay, most_rows
from monitoring.policies import policy_option

LIMITS = (0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001, 0.00001)
SHIFTS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)
"""Of numbers, in standard deviations."""

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Of words: what moves from the commonest level to the second."""

POWER = 0.8
TRIALS = 20
_LEAST_SHOPPERS = 20


@click.command("calibrate")
@click.option("--budget", default="1/week", show_default=True, help="False alarms to bear.")
@click.option(
    "--rows",
    "asked_rows",
    default=500,
    show_default=True,
    type=click.IntRange(1),
    help="Of a window; fewer where the reference has no more to give.",
)
@click.option("--rounds", default=4, show_default=True, type=click.IntRange(1))
@click.option("--windows", default=168, show_default=True, type=click.IntRange(8), help="A round.")
@click.option("--within", default=4, show_default=True, type=click.IntRange(1, 8), help="Windows.")
@click.option("--seed", default=0, show_default=True)
@policy_option("CUVEE_DRIFT")
@click.option(
    "--write",
    "written",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the policy with the limit that was found, for CUVEE_DRIFT.",
)
def calibrate_command(
    budget: str,
    asked_rows: int,
    rounds: int,
    windows: int,
    within: int,
    seed: int,
    policy_file: Path | None,
    written: Path | None,
) -> None:
    """Find the limit that keeps to a budget of false alarms, and tell what it would see.

    Splits the shoppers of the serving model's reference in two, draws windows of --rows from one
    half, hour by hour, and compares them with the other: every alarm is false. Then changes each
    column until four of five changes are told --within so many windows, as the monitor tells them:
    corrected for all columns, and above the floor.
    """
    bearable, policy = Budget.parse(budget), policy_in_force(policy_file)
    rows = _reference(policy)
    window_rows = min(asked_rows, most_rows(rows))
    replays = [
        Replay(rows, [COUNTRY], policy, window_rows, windows, seed + each) for each in range(rounds)
    ]
    looks = [each.looks() for each in replays]
    total = rounds * windows
    q = _limit(looks, policy, bearable, total)
    alarms = sum(each.alarms(policy, q) for each in looks)
    rate = bearable.rate(alarms, total, policy.window_minutes)
    most = bearable.rate(alarms + 3, total, policy.window_minutes)
    click.echo(f"q {q:g}: {alarms} false alarms in {total} windows of {window_rows} rows")
    click.echo(f"{rate:.2g} a {bearable.period}; less than {most:.2g}, as far as so many can tell")
    if rate > bearable.alarms:
        click.echo("the budget is not kept even so: windows of more rows, or floors, would help")
    click.echo(
        f"\nsmallest change that is told within {within} windows in {POWER:.0%} of {TRIALS} trials,"
        f" beside {len(looks[0].names) - 1} other columns:"
    )
    for line in _changes(replays, looks, q, within):
        click.echo(line)
    if written is not None:
        replace_file(written, _with_limit(policy, q).encode())


def _reference(policy: Policy) -> Rows:
    registry = Registry(home_directory())
    rows = policy.watched(read_reference(registry.directory / registry.resolve("production")))
    if (shoppers := len(set(rows.shoppers.tolist()))) < _LEAST_SHOPPERS:
        raise InputError(
            f"reference: expected at least {_LEAST_SHOPPERS} shoppers to draw from, got {shoppers}"
        )
    return rows


def _limit(looks: Sequence[Looks], policy: Policy, budget: Budget, windows: int) -> float:
    """Return the greatest limit that keeps to the budget, else the least there is."""
    for q in LIMITS:
        alarms = sum(each.alarms(policy, q) for each in looks)
        if budget.rate(alarms, windows, policy.window_minutes) <= budget.alarms:
            return q
    return LIMITS[-1]


def _changes(
    replays: Sequence[Replay], looks: Sequence[Looks], q: float, within: int
) -> Iterator[str]:
    """Yield a line for each column, with the smallest change that is told often enough."""
    columns = replays[0].columns
    width = max((len(each.name) for each in columns), default=0)
    for column in columns:
        sizes = SHIFTS if isinstance(column, NumericColumn) else SHARES
        is_told = partial(_is_told, replays, looks, column, q=q, within=within)
        told = _words(column, next(filter(is_told, sizes), None))
        yield f"{column.name:<{width}}  {told}"


def _is_told(
    replays: Sequence[Replay],
    looks: Sequence[Looks],
    column: Column,
    size: float,
    *,
    q: float,
    within: int,
) -> bool:
    """Tell whether a change of such a size is told often enough, over all replays together."""
    if isinstance(column, NumericColumn) and not column.spread:
        return False
    asked = [
        (replay, look)
        for replay, look in zip(replays, looks, strict=True)
        if column.name in look.names  # half of the shoppers may know nothing of it
    ]
    each = -(-TRIALS // len(asked))
    found = sum(replay.found(look, column.name, size, q, within, each) for replay, look in asked)
    return found >= POWER * each * len(asked)


def _words(column: Column, size: float | None) -> str:
    if size is None:
        return "none"
    if isinstance(column, NumericColumn):
        return f"{size:g} sd ({size * column.spread:.3g})"
    return f"{size:.0%} from the commonest level to the second"


def _with_limit(policy: Policy, q: float) -> str:
    limits = policy.limits
    fields = {
        "window_minutes": policy.window_minutes,
        "q": q,
        "suspect": max(limits.suspect, q),
        "floor": limits.floor,
        "floors": dict(limits.floors),
        "least_rows": limits.least_rows,
        "ignore": sorted(policy.ignore),
    }
    told: str = yaml.safe_dump(fields, sort_keys=False)
    return told
