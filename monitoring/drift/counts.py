"""What a window of rows comes down to: counts that add up, whoever made them and however many.

Nothing else is kept of the rows. How often shoppers repeat is told by counts of a few thousand
buckets of shoppers, since the sum of their squares tells that of the shoppers' own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from models.reference.rows import SLOTS, Rows
from monitoring.drift.columns import Column, Ints

BUCKETS = 4_096


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of each slot int64[168] and bucket int64[4096], and of each column's bins."""

    slots: Ints = field(default_factory=lambda: np.zeros(SLOTS, np.int64))
    buckets: Ints = field(default_factory=lambda: np.zeros(BUCKETS, np.int64))
    bins: Mapping[str, Ints] = field(default_factory=dict)

    @classmethod
    def of(cls, columns: Sequence[Column], rows: Rows) -> Self:
        """Count `rows` in the bins of `columns`; a column that rows lack is missing in them."""
        return cls(
            np.bincount(rows.slots, minlength=SLOTS),
            np.bincount((rows.shoppers % np.uint64(BUCKETS)).astype(np.int64), minlength=BUCKETS),
            {each.name: _binned(each, rows) for each in columns},
        )

    @classmethod
    def none(cls, columns: Sequence[Column]) -> Self:
        """Return the counts of no rows."""
        return cls(bins={each.name: np.zeros(each.size, np.int64) for each in columns})

    @property
    def rows(self) -> int:
        """Return how many rows were counted."""
        return int(self.slots.sum())

    def __add__(self, other: "Counts") -> "Counts":
        """Return what both have counted."""
        names = {**self.bins, **other.bins}
        return Counts(
            self.slots + other.slots,
            self.buckets + other.buckets,
            {name: _sum(self.bins.get(name), other.bins.get(name)) for name in names},
        )

    def rows_per_shopper(self) -> float:
        """Return Σ m² / Σ m over shoppers with m rows each: in whose company a row is, itself too.

        Exact but for shoppers who share a bucket, whose expected part is taken off (Alon, Matias
        and Szegedy, STOC 1996, of the second moment).
        """
        rows = self.rows
        if not rows:
            return 1.0
        squares = float((self.buckets.astype(np.float64) ** 2).sum())
        own = (squares - rows**2 / BUCKETS) / (1 - 1 / BUCKETS)
        return min(max(own / rows, 1.0), float(rows))


def _binned(column: Column, rows: Rows) -> Ints:
    values = rows.values.get(column.name)
    if values is None:
        counts = np.zeros(column.size, np.int64)
        counts[0] = len(rows)
        return counts
    return np.bincount(column.bins_of(values), minlength=column.size)


def _sum(one: Ints | None, other: Ints | None) -> Ints:
    if one is None or other is None:
        return one if other is None else other  # type: ignore[return-value] # one of them is there
    return one + other
