"""A split in time: what was known before a cut, and what shoppers went on to want after it.

    past ───────────────────── cut ─────────── end
    all that may be looked at   │   the answers: `wanted`

Everything that is learnt or computed for a split takes its `past`, which holds no later event.

Beside it stands the split that leaves out what each shopper wanted last. There is no one cut, so
what others did later is learnt from: it leaks the future (`models.left_out`). It is a second
opinion, no yardstick.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from scipy import sparse

from features.catalogue import Catalogue
from features.eventlog import EventLog
from features.history import tastes_of
from features.ids import NO_HASHES, Hashes
from features.moments import Moment
from models.arrays import Array
from models.dataset import (
    POSITIVE,
    Interactions,
    before,
    between,
    interactions,
    past_of,
    without,
)
from models.item_table import ItemTable
from models.items import Items
from models.parts import Rows

LEAST_HISTORY = 5
"""Shoppers who met fewer items are not judged: there was little to learn from."""

_NO_ROWS: Rows = np.empty(0, np.int64)
_KNOWN = "known_"

MOST_SHOPPERS = 5_000
"""More are not judged: they would say the same."""

_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Split:
    """What was known at a cut, and the shoppers who went on to want something they had not.

    `blocked` and `wanted` hold for each of `users` (numbers of the log) the rows of the items
    that may not be shown, and of those they wanted.
    """

    past: EventLog
    """What is shown of those who are asked for: what others did need not be in it."""
    known: Interactions
    """What may be learnt from."""
    cut_ms: int
    users: Rows
    blocked: tuple[Rows, ...]
    wanted: tuple[Rows, ...]
    met: Interactions | None = None
    """The pairs of `past`, where those are not what is known."""
    asked_ms: Rows | None = None
    """When each is asked for, int64[users], where that is not the cut."""
    closed: Hashes = field(default_factory=lambda: NO_HASHES)
    """Items that nobody may be shown; `blocked` has them too."""
    pages: Rows | None = None
    """The item (row) on whose page each is, int64[users], where they are on one."""

    def __len__(self) -> int:
        """Return the number of shoppers."""
        return len(self.users)

    def some(self, places: Rows) -> "Split":
        """Return the shoppers at some places only."""
        chosen = places.tolist()
        return replace(
            self,
            users=self.users[places],
            blocked=tuple(self.blocked[place] for place in chosen),
            wanted=tuple(self.wanted[place] for place in chosen),
            asked_ms=None if self.asked_ms is None else self.asked_ms[places],
            pages=None if self.pages is None else self.pages[places],
        )

    def histories(self) -> sparse.csr_matrix:
        """Return the grades that are shown of each shopper, float32[users, items]."""
        return (self.met or self.known).matrix()[self.users]

    def moments(self) -> list[Moment]:
        """Return when each is asked for, with their profile, from nowhere in particular."""
        asked = np.full(len(self), self.cut_ms) if self.asked_ms is None else self.asked_ms
        pairs = zip(self.users.tolist(), asked.tolist(), strict=True)
        return [moment_at(self.past, user, at_ms) for user, at_ms in pairs]

    def arrays(self) -> Mapping[str, Array]:
        """Return a split as `temporal_split` made it as arrays, of which `of` makes the same."""
        lists = {"blocked": self.blocked, "wanted": self.wanted}
        return {
            "users": self.users,
            "past_offsets": self.past.offsets,
            "past_records": self.past.records,
            **{f"{_KNOWN}{name}": array for name, array in self.known.arrays().items()},
            **{name: np.concatenate((_NO_ROWS, *each)) for name, each in lists.items()},
            **{
                f"{name}_sizes": np.array([len(rows) for rows in each], np.int64)
                for name, each in lists.items()
            },
        }

    @classmethod
    def of(cls, arrays: Mapping[str, Array], log: EventLog, items: int, cut_ms: int) -> Self:
        """Return the split in `arrays`, cut from `log`."""
        known = {
            name.removeprefix(_KNOWN): array
            for name, array in arrays.items()
            if name.startswith(_KNOWN)
        }
        past = arrays["past_offsets"], arrays["past_records"]
        return cls(
            past=EventLog(log.user_ids, *past, log.profiles),
            known=Interactions.of(known, len(log.user_ids), items),
            cut_ms=cut_ms,
            users=arrays["users"],
            blocked=_lists(arrays, "blocked"),
            wanted=_lists(arrays, "wanted"),
        )


def _lists(arrays: Mapping[str, Array], name: str) -> tuple[Rows, ...]:
    ends = np.cumsum(arrays[f"{name}_sizes"])
    return tuple(np.split(arrays[name], ends[:-1])) if len(ends) else ()


def temporal_split(
    log: EventLog,
    catalogue: Catalogue,
    cut_ms: int,
    end_ms: int,
    histories: tuple[int, int] = (LEAST_HISTORY, _NEVER),
    gone: Hashes = NO_HASHES,
) -> Split:
    """Return the split of `log` that is cut at one moment and looks on to another.

    It holds shoppers who met so many items, least and most, at most `MOST_SHOPPERS`, evenly from
    all of them. What happened to the items of `gone` before the cut is as if it had not.
    """
    known = interactions(log, catalogue, cut_ms)
    if len(gone):
        rows = Items(ItemTable.of(catalogue)).rows_of(gone)
        known = known.only(~np.isin(known.items, rows))
    later = interactions(between(log, cut_ms, end_ms), catalogue)
    wanted = later.only(later.grades >= POSITIVE)
    asked = _some(wanted, known, histories)
    past = without(past_of(log, asked, cut_ms), gone)
    return _opened(past, known, wanted, catalogue, cut_ms, asked)


def leave_last_out(log: EventLog, catalogue: Catalogue) -> Split:
    """Return the split that leaves out what each shopper wanted last, and all of theirs after.

    Nothing is left out of who met fewer than `LEAST_HISTORY` items before. Its past is that of all
    shoppers.
    """
    pairs = interactions(log, catalogue)
    wanted = pairs.grades >= POSITIVE
    last = np.full(pairs.user_count, -1)
    np.maximum.at(last, pairs.users[wanted], pairs.ts[wanted])
    earlier = np.bincount(pairs.users[pairs.ts < last[pairs.users]], minlength=len(last))
    cuts = np.where(earlier >= LEAST_HISTORY, last, _NEVER)
    left_out = pairs.only(wanted & (pairs.ts >= cuts[pairs.users]))
    past = before(log, cuts, left_out, catalogue)
    known = interactions(past, catalogue)
    asked = _some(left_out, known, (LEAST_HISTORY, _NEVER))
    end_ms = int(log.records["ts"].max(initial=-1)) + 1
    split = _opened(past, known, left_out, catalogue, end_ms, asked)
    return replace(split, asked_ms=cuts[split.users])


def _opened(
    past: EventLog,
    known: Interactions,
    wanted: Interactions,
    catalogue: Catalogue,
    cut_ms: int,
    asked: Rows,
) -> Split:
    """Return the split of those of `asked` who went on to want something they had not."""
    later = np.split(wanted.items, _bounds(wanted.users, wanted.user_count))
    owned = _blocked(past, Items(ItemTable.of(catalogue)))
    users, blocked, new = [], [], []
    for user in asked.tolist():
        fresh = np.setdiff1d(later[user], owned[user])
        if len(fresh):
            users.append(user)
            blocked.append(owned[user])
            new.append(fresh)
    return Split(past, known, cut_ms, np.array(users, np.int64), tuple(blocked), tuple(new))


def _blocked(past: EventLog, items: Items) -> list[Rows]:
    """Return the rows that must not be shown to each shopper."""
    count = len(past.user_ids)
    tastes = tastes_of(past.records, np.repeat(np.arange(count), np.diff(past.offsets)))
    rows = items.rows_of(tastes.blocked)
    known = rows >= 0
    return np.split(rows[known], _bounds(tastes.blocked_by[known], count))


def _some(wanted: Interactions, known: Interactions, histories: tuple[int, int]) -> Rows:
    """Return who is asked for of those who wanted something later, ascending."""
    least, most = histories
    users = np.unique(wanted.users)
    counts = known.counts()[users]
    enough = users[(counts >= least) & (counts <= most)]
    return enough[:: -(-len(enough) // MOST_SHOPPERS)] if len(enough) else enough


def moment_at(log: EventLog, user: int, cut_ms: int) -> Moment:
    """Return the moment of a cut with the shopper's profile, from nowhere in particular."""
    return Moment(cut_ms, profile=log.profiles.get(log.user_ids[user]))


def _bounds(users: Rows, count: int) -> Rows:
    """Return where the pairs of shopper 1, 2, … begin, pairs being sorted by shopper."""
    return np.searchsorted(users, np.arange(1, count))
