"""Shoppers with a taste each, who buy and rate over a year: what training can learn from."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from features.catalogue import Catalogue
from features.eventlog import EventLog
from features.events import RECORD, TYPE_CODES, VALUE_SCALE, EventType, Records
from features.ids import stable_hashes

DAY_MS = 86_400_000
CATEGORIES = ("Red", "White", "Rosé", "Sparkling")


@dataclass(frozen=True, slots=True)
class Happened:
    """One event: shopper and item by number, day since the epoch, kind, value in its unit."""

    shopper: int
    item: int
    day: float
    kind: EventType = EventType.PURCHASE
    value: float = 0.0


def wines(count: int) -> Catalogue:
    """Return `count` wines: their category tells tastes apart, their cork tells nothing."""
    category = np.array([CATEGORIES[row % len(CATEGORIES)] for row in range(count)], np.str_)
    cork = np.array([f"cork {row // 4 % 3}" for row in range(count)], object)
    price = np.linspace(5, 50, count).astype(np.float32)
    ids = tuple(f"wine-{row:04d}" for row in range(count))
    return Catalogue(ids, category, price, np.ones(count, bool), {"cork": cork})


def log_of(happened: list[Happened], shoppers: int, catalogue: Catalogue) -> EventLog:
    """Return the log of what happened; shoppers are called `shopper-0000` and so on."""
    hashes = stable_hashes(catalogue.item_ids)
    ordered = sorted(happened, key=lambda each: (each.shopper, each.day))
    records: Records = np.zeros(len(ordered), RECORD)
    for row, each in enumerate(ordered):
        tag = row << 4 | TYPE_CODES[each.kind]
        value = round(each.value * VALUE_SCALE)
        records[row] = (round(each.day * DAY_MS), hashes[each.item], value, tag)
    counts = np.bincount([each.shopper for each in ordered], minlength=shoppers)
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)))
    names = tuple(f"shopper-{number:04d}" for number in range(shoppers))
    homes = {name: {"country": "FR" if row % 2 else "IT"} for row, name in enumerate(names)}
    return EventLog(names, offsets, records, homes)


def tasteful(shoppers: int = 150, items: int = 60, bought: int = 14, seed: int = 3) -> EventLog:
    """Return a log in which shopper n buys wines of category n mod 4 nine times of ten."""
    random = np.random.default_rng(seed)
    happened = []
    for shopper in range(shoppers):
        weights = np.where(np.arange(items) % 4 == shopper % 4, 9.0, 1 / 3)
        chosen = random.choice(items, bought, replace=False, p=weights / weights.sum())
        days = np.sort(random.uniform(19_000, 19_365, bought))
        happened += [
            Happened(shopper, int(item), float(day)) for item, day in zip(chosen, days, strict=True)
        ]
    return log_of(happened, shoppers, wines(items))


def clicks(count: int) -> Records:
    """Return clicks on the first so many items."""
    records = np.zeros(count, RECORD)
    records["ts"] = np.arange(count)
    records["item"] = stable_hashes(f"wine-{row:04d}" for row in range(count))
    records["tag"] = TYPE_CODES[EventType.CLICK]
    return records


def tasteless(shoppers: int = 200, items: int = 400, bought: int = 8) -> list[Happened]:
    """Return purchases of shoppers who go by the popularity of items alone, over a year."""
    random = np.random.default_rng(0)
    weights = np.arange(1, items + 1) ** -0.7
    happened = []
    for shopper in range(shoppers):
        chosen = random.choice(items, bought, replace=False, p=weights / weights.sum())
        days = random.uniform(19_000, 19_365, bought)
        happened += [
            Happened(shopper, int(item), float(day)) for item, day in zip(chosen, days, strict=True)
        ]
    return happened


def halves(seed: int = 0, users: int = 80, items: int = 40) -> sparse.csr_matrix:
    """Return float32[users, items] of shoppers who like even items or odd ones."""
    random = np.random.default_rng(seed)
    liked = random.random((users, items)) < np.where(
        np.arange(users)[:, None] % 2 == np.arange(items) % 2, 0.4, 0.02
    )
    return sparse.csr_matrix(liked, dtype=np.float32)
