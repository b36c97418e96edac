"""`python -m features shoppers`: who the shoppers are, the most active first."""

import click

from features.home import home_directory
from features.offline.store import OfflineStore


@click.command("shoppers")
@click.option("--most", default=20, show_default=True, type=click.IntRange(min=1))
def shoppers_command(most: int) -> None:
    """List the ids of the shoppers with the most events, one a line.

    For looking at what they are shown, and for load tests that want shoppers who are known.
    """
    for user_id in most_active(OfflineStore(home_directory()), most):
        click.echo(user_id)


def most_active(store: OfflineStore, most: int) -> list[str]:
    """Return the ids of at most `most` shoppers, those with the most events first."""
    counted = store.scan("events").group_by("user_id").len()
    ranked = counted.sort(["len", "user_id"], descending=[True, False]).head(most)
    return ranked.collect()["user_id"].to_list()
