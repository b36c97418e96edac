"""A shop whose lists do better or worse from one model to the next."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from features.events import EventType
from features.offline.store import OfflineStore
from features.offline.tables import ITEMS
from features.online.stream_entries import Entry
from models.bundle import write_bundle
from models.registry import Registry
from tests.support.bundles import small_parts
from tests.support.listed import done, happen, list_line, serve

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOW_MS = 1_760_011_200_000
"""2025-10-09 12:00 UTC."""

CATALOGUE = 40


class JudgedShop:
    """Serves lists of a version, and lets shoppers click and buy."""

    def __init__(self, home: Path, seed: int = 0) -> None:
        """Have a catalogue, and nobody yet."""
        self.store = OfflineStore(home)
        self._random = np.random.default_rng(seed)
        self._number = 0
        rows = [
            {"item_id": f"i{n}", "category": f"c{n % 4}", "in_stock": True}
            for n in range(CATALOGUE)
        ]
        self.store.put_items(pa.Table.from_pylist(rows, schema=ITEMS))

    def promote(self, count: int = 1) -> list[str]:
        """Make versions and promote them one after the other."""
        registry, versions = Registry(self.store.home), []
        for number in range(count):
            version = write_bundle(self.store.home / "models", small_parts(31 + number))
            registry.promote(version)
            versions.append(version)
        return versions

    def serve(
        self,
        version: str,
        days: range,
        lists_a_day: int,
        ctr: float | Callable[[str], float],
        *,
        shoppers: int = 150,
        items: int = CATALOGUE,
        buys: float = 0.3,
        score: float = 0.5,
        reason: str | None = None,
    ) -> None:
        """Serve lists of four items so many days ago; a click for so many, a purchase of few.

        `ctr` may depend on the page; `reason` is why they are from below the model.
        """
        lines: list[bytes] = []
        events: list[Entry] = []
        for day in days:
            for _ in range(lists_a_day):
                self._one(version, day, ctr, shoppers, items, buys, score, reason, lines, events)
        serve(self.store, *lines)
        happen(self.store, *events)

    def _one(
        self,
        version: str,
        day: int,
        ctr: float | Callable[[str], float],
        shoppers: int,
        items: int,
        buys: float,
        score: float,
        reason: str | None,
        lines: list[bytes],
        events: list[Entry],
    ) -> None:
        random, number = self._random, self._number
        self._number += 1
        at_ms = NOW_MS - day * DAY_MS + int(random.integers(0, 11 * HOUR_MS))
        user = f"u{random.integers(shoppers)}"
        page = "home" if random.random() < 0.5 else "basket"
        shown = [f"i{n}" for n in random.permutation(items)[:4]]
        lines.append(
            list_line(
                f"r{number}", user, at_ms, shown, page=page, model_version=version,
                segment=None, scores=[score] * 4, reason=reason,
            )
        )  # fmt: skip
        if random.random() >= (ctr(page) if callable(ctr) else ctr):
            return
        item = shown[int(random.integers(4))]
        events.append(done(f"c{number}", user, item, at_ms + 60_000, list_id=f"r{number}"))
        if random.random() < buys:
            paid = EventType.PURCHASE
            events.append(
                done(f"p{number}", user, item, at_ms + 90_000, paid, f"r{number}", value=10.0)
            )
