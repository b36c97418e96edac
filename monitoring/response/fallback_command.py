"""`python -m monitoring fallback`: show, set or end the share that gets popular items."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from features.errors import InputError
from features.home import home_directory
from features.number_range import NumberRange
from models.journal import this_user
from monitoring.fallback_share import LONGEST_S, FallbackShare, read_share, write_share
from monitoring.response.policy import Action
from monitoring.response.trail import Decided, Trail, new_id

BY_HAND = "by hand"
"""The rule under which the audit trail has what people did."""


@click.command("fallback")
@click.option("--share", type=NumberRange(0, 1), help="Of the shoppers, from now on.")
@click.option(
    "--minutes",
    default=30.0,
    show_default=True,
    type=NumberRange(0, LONGEST_S / 60, min_open=True),
    help="How long; then it ends by itself.",
)
@click.option("--why", default="", help="The reason, for the audit trail.")
@click.option("--end", is_flag=True, help="Nobody, from now on.")
def fallback_command(share: float | None, minutes: float, why: str, end: bool) -> None:
    """Show which share of shoppers gets popular items whatever the model would show, or set it.

    Services follow within a second or so.
    """
    home, now_s = home_directory(), time.time()
    if end and share is not None:
        raise InputError("--end: expected no --share with it")
    if end or share is not None:
        _set(home, FallbackShare(share or 0.0, now_s, now_s + minutes * 60, why or BY_HAND))
    click.echo(_told(read_share(home), now_s))


def _set(home: Path, share: FallbackShare) -> None:
    identity = new_id(share.since_s)
    line: dict[str, Any] = {
        "id": identity,
        "rule": BY_HAND,
        "action": Action.FALLBACK,
        "decided": Decided.BY_HAND,
        "why": f"{this_user()}: {share.why}",
        "findings": [],
        "cost": None,
    }
    trail = Trail(home)
    trail.add(share.since_s, line)
    write_share(home, share)
    trail.add(share.since_s, {"id": identity, "led_to": f"{share.share:.0%} of shoppers"})


def _told(share: FallbackShare | None, now_s: float) -> str:
    if share is None or not share.at(now_s):
        return "nobody is held back"
    until = datetime.fromtimestamp(min(share.until_s, share.since_s + LONGEST_S), UTC)
    return (
        f"{share.share:.0%} of shoppers get popular items until {until:%Y-%m-%d %H:%M:%S} UTC: "
        f"{share.why}"
    )
