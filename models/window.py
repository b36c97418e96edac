"""A cut in time: what was known before it, and what shoppers went on to want after it.

    past ───────────────────── cut ─────────── end
    all that may be looked at   │   the answers: `wanted`

Everything that is learnt or computed for a window takes its `past`, which holds no later event.
"""

from dataclasses import dataclass

import numpy as np

from features.catalogue import Catalogue
from features.eventlog import EventLog
from features.history import tastes_of
from features.moments import Moment
from models.dataset import POSITIVE, Interactions, between, interactions
from models.item_table import ItemTable
from models.items import Items
from models.parts import Rows

LEAST_HISTORY = 5
"""Shoppers who met fewer items are not judged: there was little to learn from."""

MOST_SHOPPERS = 5_000
"""More are not judged: they would say the same."""


@dataclass(frozen=True, slots=True)
class Window:
    """What was known at a cut, and the shoppers who went on to want something they had not.

    `blocked` and `wanted` hold for each of `users` (numbers of the log) the rows of the items
    that may not be shown, and of those they wanted.
    """

    past: EventLog
    known: Interactions
    cut_ms: int
    users: Rows
    blocked: tuple[Rows, ...]
    wanted: tuple[Rows, ...]

    def __len__(self) -> int:
        """Return the number of shoppers."""
        return len(self.users)


def open_window(
    log: EventLog,
    catalogue: Catalogue,
    cut_ms: int,
    end_ms: int,
) -> Window:
    """Return the window of `log` that is cut at one moment and looks on to another.

    It holds shoppers with `LEAST_HISTORY`, at most `MOST_SHOPPERS`, evenly from all of them.
    """
    past = between(log, 0, cut_ms)
    known = interactions(past, catalogue)
    later = interactions(between(log, cut_ms, end_ms), catalogue)
    positive = later.grades >= POSITIVE
    wanted = np.split(later.items[positive], _bounds(later.users[positive], len(log.user_ids)))
    owned = _blocked(past, Items(ItemTable.of(catalogue)))
    users, blocked, new = [], [], []
    for user in _some(np.unique(later.users[positive]), known).tolist():
        fresh = np.setdiff1d(wanted[user], owned[user])
        if len(fresh):
            users.append(user)
            blocked.append(owned[user])
            new.append(fresh)
    return Window(past, known, cut_ms, np.array(users, np.int64), tuple(blocked), tuple(new))


def _blocked(past: EventLog, items: Items) -> list[Rows]:
    """Return the rows that must not be shown to each shopper."""
    count = len(past.user_ids)
    tastes = tastes_of(past.records, np.repeat(np.arange(count), np.diff(past.offsets)))
    rows = items.rows_of(tastes.blocked)
    known = rows >= 0
    return np.split(rows[known], _bounds(tastes.blocked_by[known], count))


def _some(users: Rows, known: Interactions) -> Rows:
    enough = users[known.counts()[users] >= LEAST_HISTORY]
    return enough[:: -(-len(enough) // MOST_SHOPPERS)] if len(enough) else enough


def moment_at(log: EventLog, user: int, cut_ms: int) -> Moment:
    """Return the moment of a cut with the shopper's profile, from nowhere in particular."""
    return Moment(cut_ms, profile=log.profiles.get(log.user_ids[user]))


def _bounds(users: Rows, count: int) -> Rows:
    """Return where the pairs of shopper 1, 2, … begin, pairs being sorted by shopper."""
    return np.searchsorted(users, np.arange(1, count))
