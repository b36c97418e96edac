"""What is bought together: purchases of one shopper that follow each other closely are a basket.

    purchases ─ baskets ─ how often two items shared one ─ the best companions of each item

The score of a pair is the cosine of the two items' columns of baskets (Linden, Smith and York,
IEEE Internet Computing 2003), shrunk towards nothing where few baskets speak for it (Bell and
Koren, KDD Cup 2007):

    together / sqrt(one · other) · together / (together + SHRINKAGE)

A pair that shares fewer baskets than chance would give it (lift below 1: Brin, Motwani and
Silverstein, SIGMOD 1997) is none.
"""

import numpy as np
from scipy import sparse

from features.catalogue import Catalogue
from features.eventlog import EventLog
from features.events import TYPE_CODES, EventType, Records, type_codes
from models.dataset import some_at_a_time
from models.item_table import ItemTable
from models.items import Items
from models.parts import Companions, Floats, Rows

GAP_MS = 6 * 3_600_000
"""A purchase that comes later than this after the one before begins another basket."""

LARGEST = 50
"""Items of the largest basket that counts: a reseller's list says nothing of what goes together."""

SHRINKAGE = 10.0
"""Baskets that a pair must share before it is half believed. On baskets of the demo shop that came
later (two million events), HitRate@10 for one item of each: 0.150 without, 0.195 with 10; what is
bought most reaches 0.172."""

KEPT = 30
"""Companions of an item that are kept, at most."""

_ROWS = 4_096
"""Items whose pairs are counted at a time."""

_PURCHASE = TYPE_CODES[EventType.PURCHASE]


def companions(log: EventLog, catalogue: Catalogue) -> Companions | None:
    """Return what the baskets of a log say of each item of a catalogue; None if nothing."""
    baskets = _baskets(log, catalogue)
    if not baskets.shape[0]:
        return None
    baskets = baskets.tocsc()
    counts = np.asarray(baskets.sum(axis=0), np.float64).ravel()
    sizes, rows, scores = [np.zeros(1, np.int64)], [], []
    for start in range(0, len(catalogue), _ROWS):
        block = (baskets[:, start : start + _ROWS].T @ baskets).tocoo()
        of, other, together = block.row + start, block.col, block.data.astype(np.float64)
        real = (of != other) & (together * baskets.shape[0] >= counts[of] * counts[other])
        of, other, together = of[real], other[real], together[real]
        cosine = together / np.sqrt(counts[of] * counts[other])
        told = (cosine * together / (together + SHRINKAGE)).astype(np.float32)
        kept, some = _best(of - start, other, told, min(_ROWS, len(catalogue) - start))
        sizes.append(some)
        rows.append(other[kept].astype(np.int32))
        scores.append(told[kept])
    return Companions(
        np.cumsum(np.concatenate(sizes)), np.concatenate(rows), np.concatenate(scores)
    )


def _baskets(log: EventLog, catalogue: Catalogue) -> sparse.csr_matrix:
    """Return baskets of two items or more as float32[baskets, items] of ones."""
    known = Items(ItemTable.of(catalogue))
    told = [_bought(*some, known) for some in some_at_a_time(log)]
    shoppers, items, ts = (np.concatenate(each) for each in zip(*told, strict=True))
    begins = np.ones(len(ts), bool)
    begins[1:] = (shoppers[1:] != shoppers[:-1]) | (np.diff(ts) > GAP_MS)
    basket = np.cumsum(begins) - 1
    pairs = np.unique(np.stack((basket, items)), axis=1) if len(items) else np.zeros((2, 0), int)
    size = np.bincount(pairs[0], minlength=1)
    fits = (size > 1) & (size <= LARGEST)
    number = np.cumsum(fits) - 1
    basket, items = pairs[:, fits[pairs[0]]]
    shape = (int(fits.sum()), len(catalogue))
    return sparse.csr_matrix((np.ones(len(items), np.float32), (number[basket], items)), shape)


def _bought(users: Rows, records: Records, known: Items) -> tuple[Rows, Rows, Rows]:
    """Return who bought what, and when."""
    bought = type_codes(records) == _PURCHASE
    users, records = users[bought], records[bought]
    items = known.rows_of(records["item"])
    there = items >= 0
    return users[there], items[there], records["ts"][there]


def _best(of: Rows, other: Rows, scores: Floats, count: int) -> tuple[Rows, Rows]:
    """Return which pairs are among the `KEPT` best of their item, in order, and each item's."""
    order = np.lexsort((other, -scores, of))
    first = np.searchsorted(of[order], np.arange(count + 1))
    place = np.arange(len(order)) - np.repeat(first[:-1], np.diff(first))
    return order[place < KEPT], np.minimum(np.diff(first), KEPT)
