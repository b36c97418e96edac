"""A small shop's purchases, and the dataset that is declared of them."""

from pathlib import Path

from click.testing import CliRunner, Result

from features.__main__ import cli
from features.datasets.dataset import Declaration
from features.events import Event, EventType
from features.online.stream_entries import Entry

NOW_MS = 1_760_000_000_000
QUERY = "select user_id, arrived_at as at, value as paid from events where type = 'purchase'"
PURCHASES = Declaration(QUERY, "at")


def purchases(first: int, count: int, since_ms: int = NOW_MS) -> list[Entry]:
    """Return purchases of three shoppers, a minute apart."""
    return [
        Entry(
            b"0-1",
            since_ms + number * 60_000,
            Event(f"e{number}", EventType.PURCHASE, f"u{number % 3}", 1.0, f"i{number}", 2.5),
        )
        for number in range(first, first + count)
    ]


def run(home: Path, *words: str) -> Result:
    """Run `python -m features dataset` in a home."""
    return CliRunner().invoke(cli, ["dataset", *words], env={"CUVEE_HOME": str(home)})
