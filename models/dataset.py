"""What shoppers thought of items, as training sees it: one row for each pair that met."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from features.catalogue import Catalogue
from features.eventlog import NO_RECORDS, EventLog
from features.events import TYPE_CODES, EventType, Records, type_codes
from features.history import grades_of
from features.ids import Hashes
from models.arrays import Array
from models.item_table import ItemTable
from models.items import Items
from models.parts import Floats, Rows

POSITIVE = 1.0
"""Grade from which an item was what the shopper wanted: bought, or four stars and more."""

_AT_ONCE = 1_000_000
"""Events of the shoppers that are looked at together."""

_REFUSED = TYPE_CODES[EventType.NOT_INTERESTED]
_SHOWN = TYPE_CODES[EventType.IMPRESSION]


@dataclass(frozen=True, slots=True)
class Interactions:
    """Pairs of shopper and item, each once, with the best grade and the time of it.

    `users` (numbers of the event log) and `items` (rows of the catalogue) int64[n], `grades`
    float32[n] above 0, `ts` int64[n] in milliseconds.
    """

    users: Rows
    items: Rows
    grades: Floats
    ts: Rows
    user_count: int
    item_count: int

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.users)

    def arrays(self) -> Mapping[str, Array]:
        """Return the pairs as arrays, of which `of` makes the same."""
        return {"users": self.users, "items": self.items, "grades": self.grades, "ts": self.ts}

    @classmethod
    def of(cls, arrays: Mapping[str, Array], users: int, items: int) -> Self:
        """Return the pairs in `arrays`, of so many users and items."""
        return cls(**arrays, user_count=users, item_count=items)

    def matrix(self, weights: npt.NDArray[np.floating[Any]] | None = None) -> sparse.csr_matrix:
        """Return the grades, or other `weights` of the pairs, as a sparse float32[users, items]."""
        shape = (self.user_count, self.item_count)
        told = self.grades if weights is None else weights
        return sparse.csr_matrix((told, (self.users, self.items)), shape, np.float32)

    def only(self, chosen: npt.NDArray[np.bool_]) -> "Interactions":
        """Return the chosen pairs, bool[n]."""
        return replace(
            self,
            users=self.users[chosen],
            items=self.items[chosen],
            grades=self.grades[chosen],
            ts=self.ts[chosen],
        )

    def firsts(self, count: int) -> "Interactions":
        """Return the `count` pairs that each shopper met first, or as many as there are."""
        order = np.lexsort((self.ts, self.users))
        begins = np.cumsum(self.counts()) - self.counts()
        is_first = np.empty(len(self), np.bool_)
        is_first[order] = np.arange(len(self)) - begins[self.users[order]] < count
        return self.only(is_first)

    def counts(self) -> Rows:
        """Return how many items each shopper met, int64[users]."""
        return np.bincount(self.users, minlength=self.user_count)

    def met(self) -> Rows:
        """Return how many shoppers met each item, int64[items]."""
        return np.bincount(self.items, minlength=self.item_count)


def interactions(log: EventLog, catalogue: Catalogue, until_ms: int | None = None) -> Interactions:
    """Return the graded pairs of a log; an item that was refused is none.

    A pair's time is that of its first best grade. With `until_ms` only what happened before
    counts. Shoppers are looked at some at a time: beside the pairs memory does not grow.
    """
    items = Items(ItemTable.of(catalogue))
    told = [_pairs(*some, items, until_ms) for some in some_at_a_time(log)]
    users, rows, grades, ts = (np.concatenate(each) for each in zip(*told, strict=True))
    return Interactions(users, rows, grades, ts, len(log.user_ids), len(catalogue))


def some_at_a_time(log: EventLog) -> Iterator[tuple[Rows, Records]]:
    """Yield whose and which events, of whole shoppers, some `_AT_ONCE` of them; once at least."""
    for begin, end in pairwise(edges(log.offsets, _AT_ONCE)):
        offsets = log.offsets[begin : end + 1]
        users = np.repeat(np.arange(begin, end), np.diff(offsets))
        yield users, log.records[offsets[0] : offsets[-1]]


def edges(offsets: npt.NDArray[np.integer[Any]], size: int) -> list[int]:
    """Return numbers of shoppers: what lies between two of them has some `size` entries.

    Shopper number u has those from `offsets[u]` to `offsets[u + 1]`.
    """
    inner = np.searchsorted(offsets, np.arange(size, offsets[-1], size))
    users = len(offsets) - 1
    return [0, *(each for each in np.unique(inner).tolist() if 0 < each < users), users]


def _pairs(
    users: Rows, records: Records, rows: Items, until_ms: int | None
) -> tuple[Rows, Rows, Floats, Rows]:
    """Return users, items, grades and times of the pairs in the records of some shoppers."""
    if until_ms is not None:
        past = records["ts"] < until_ms
        records, users = records[past], users[past]
    items, grades = rows.rows_of(records["item"]), grades_of(records)
    pairs = users * max(len(rows), 1) + items
    refused = np.unique(pairs[(type_codes(records) == _REFUSED) & (items >= 0)])
    told = np.flatnonzero((grades > 0) & (items >= 0))
    told = told[~np.isin(pairs[told], refused)]
    order = told[np.lexsort((records["ts"][told], -grades[told], pairs[told]))]
    _, first = np.unique(pairs[order], return_index=True)
    best = order[first]
    return users[best], items[best], grades[best], records["ts"][best]


def actions(log: EventLog) -> EventLog:
    """Return the log without impressions: most of it, and nothing here learns from them."""
    return _only(log, type_codes(log.records) != _SHOWN)


def between(log: EventLog, start_ms: int, end_ms: int) -> EventLog:
    """Return the log of what happened from the start and before the end, shoppers as they were."""
    ts = log.records["ts"]
    return _only(log, (ts >= start_ms) & (ts < end_ms))


def before(log: EventLog, until_ms: Rows, gone: Interactions, catalogue: Catalogue) -> EventLog:
    """Return the log of what each shopper did before a moment of theirs, int64[shoppers].

    Of the pairs that are `gone` nothing is left, not the click before the purchase either.
    """
    by = np.repeat(np.arange(len(log.user_ids)), np.diff(log.offsets))
    rows = Items(ItemTable.of(catalogue)).rows_of(log.records["item"])
    width = len(catalogue) + 1
    left_out = np.isin(by * width + rows, gone.users * width + gone.items)
    return _only(log, (log.records["ts"] < until_ms[by]) & ~left_out)


def without(log: EventLog, hashes: Hashes) -> EventLog:
    """Return the log without what happened to the items of `hashes`."""
    return _only(log, ~np.isin(log.records["item"], hashes)) if len(hashes) else log


def past_of(log: EventLog, users: Rows, until_ms: int) -> EventLog:
    """Return the log with nothing but what `users`, ascending, did before a moment."""
    sizes = np.zeros(len(log.user_ids), np.int64)
    told = [log.of(user) for user in users.tolist()]
    told = [records[records["ts"] < until_ms] for records in told]
    sizes[users] = [len(records) for records in told]
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)))
    return EventLog(log.user_ids, offsets, np.concatenate((NO_RECORDS, *told)), log.profiles)


def moment_of(pairs: Interactions, share: float) -> int:
    """Return the time, in milliseconds, before which `share` of the pairs were there."""
    return int(np.quantile(pairs.ts, share)) if len(pairs) else 0


def _only(log: EventLog, kept: npt.NDArray[np.bool_]) -> EventLog:
    running = np.concatenate((np.zeros(1, np.int64), np.cumsum(kept, dtype=np.int64)))
    return EventLog(log.user_ids, running[log.offsets], log.records[kept], log.profiles)
