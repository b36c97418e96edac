"""`python -m features skew`: what was served, beside what the tables say."""

import sys
import time
from datetime import UTC, datetime

import click

from features.home import home_directory
from features.number_range import NumberRange
from features.offline.store import OfflineStore
from features.skew import served
from features.skew.skew import Difference, Skew, skew, write_report
from features.wording import counted


@click.command("skew")
@click.option(
    "--hours",
    type=NumberRange(min=0, max=168),
    default=24.0,
    show_default=True,
    help="How far to look back; what was served is kept for a week.",
)
@click.option(
    "--settle",
    type=NumberRange(min=0, max=86_400),
    default=60.0,
    show_default=True,
    help="Seconds that events take into the tables.",
)
@click.option(
    "--most",
    type=NumberRange(min=0, max=1),
    default=0.01,
    show_default=True,
    help="The share that may differ.",
)
def skew_command(hours: float, settle: float, most: float) -> None:
    """Compare a sample of the features that were served with what the tables say they were.

    Tells the share that differs for every feature, with an example, and leaves it for the service
    to show as cuvee_feature_skew_ratio. Ends with 1 where a share is above --most.
    """
    home, now = home_directory(), time.time()
    since_ms, until_ms = int((now - hours * 3_600) * 1_000), int((now - settle) * 1_000)
    told = skew(OfflineStore(home), list(served.read(home, since_ms, until_ms)))
    if told.rows:  # else what the last one found still holds
        write_report(home, told)
    for line in lines(told):
        click.echo(line)
    sys.exit(any(ratio > most for ratio in told.ratios.values()))


def lines(told: Skew) -> list[str]:
    """Return the report: what differs first."""
    head = f"{counted(told.rows, 'served vector')} compared"
    if told.other_schema:
        head += f", {told.other_schema:,} of other declarations (CUVEE_FEATURES, another program)"
    elif not told.rows:
        head += ": features are logged where a model with a ranker serves (CUVEE_FEATURE_LOG_SHARE)"
    ratios = sorted(told.ratios.items(), key=lambda each: -each[1])
    width = max(map(len, told.ratios), default=0)
    return [head, *(f"{name:<{width}}  {ratio:7.2%}{_about(told, name)}" for name, ratio in ratios)]


def _about(told: Skew, name: str) -> str:
    example = told.examples.get(name)
    return "" if example is None else f"  {_words(example)}"


def _words(example: Difference) -> str:
    when = datetime.fromtimestamp(example.as_of_ms / 1_000, UTC).isoformat(timespec="seconds")
    served_value, computed = _number(example.served), _number(example.computed)
    return f"{example.user_id} at {when}: served {served_value}, tables {computed}"


def _number(value: float | None) -> str:
    return "missing" if value is None else f"{value:.9g}"
