"""Shoppers who did many things at the same moments, and labels about them."""

import numpy as np
import polars as pl

from features.events import Event, EventType
from features.online.stream_entries import Entry
from features.training.labels import Labels
from tests.support.behaviour import NOW_MS

KINDS = list(EventType)
HOUR_MS = 3_600_000


def entries(random: np.random.Generator, count: int, users: int, first: int = 0) -> list[Entry]:
    """Return events of some shoppers in two days before `NOW_MS`, many of one stamp."""
    stamps = NOW_MS - random.integers(1, 48, count) * HOUR_MS
    return [
        Entry(
            b"0-1",
            int(stamp),
            Event(
                f"e{first + n}",
                KINDS[int(random.integers(0, len(KINDS)))],
                f"u{random.integers(0, users)}",
                stamp / 1_000,
                item_id=f"i{random.integers(0, 9)}" if random.random() < 0.9 else None,
                value=round(float(random.random() * 5), 2),
            ),
        )
        for n, stamp in enumerate(stamps)
    ]


def labels(random: np.random.Generator, count: int, users: int) -> Labels:
    """Return rows about shoppers, some of whom nobody knows, at moments around their events."""
    as_of_ms = NOW_MS - random.integers(-1, 50, count) * HOUR_MS + random.integers(-1, 2, count)
    rows = pl.DataFrame(
        {
            "user_id": [f"u{n}" for n in random.integers(0, users + 3, count)],
            "label": random.random(count),
            "country": [("FR", None, "IT")[n] for n in random.integers(0, 3, count)],
        }
    )
    return Labels(rows, as_of_ms.astype(np.int64))
