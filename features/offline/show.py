"""`python -m features show` and `tidy`: what the offline store holds, and keeping it small."""

import json

import click
import polars as pl

from features.home import home_directory
from features.offline.store import OfflineStore


@click.command("show")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show_command(as_json: bool) -> None:
    """Show what the offline store holds: rows, versions, when events arrived, events by type."""
    store = OfflineStore(home_directory())
    figures = summary(store)
    if as_json:
        click.echo(json.dumps(figures))
        return
    for name, value in {"home": store.home.absolute(), **figures}.items():
        click.echo(f"{name:<18}{'-' if value is None else value}")


@click.command("tidy")
def tidy_command() -> None:
    """Merge small files, and remove files that no version of the last 7 days uses.

    Only after this is a forgotten shopper gone from older versions too.
    """
    removed = OfflineStore(home_directory()).tidy()
    click.echo(f"{removed} files removed")


def summary(store: OfflineStore) -> dict[str, object]:
    """Return versions, rows by table, events by type; ISO 8601 when the first and last arrived.

    The version moves with `tidy` too, what changed rows last does not.
    """
    events = store.scan("events")
    span = (
        events.select(first=pl.col("arrived_at").min(), last=pl.col("arrived_at").max())
        .collect()
        .row(0)
    )
    kinds = events.group_by("type").len().sort("type").collect().rows()
    return {
        "version": store.version(),
        "last_change": store.last_change(),
        "items": store.count("items"),
        "users": store.count("users"),
        "events": store.count("events"),
        "first": None if span[0] is None else span[0].isoformat(),
        "last": None if span[1] is None else span[1].isoformat(),
        **dict(kinds),
    }
