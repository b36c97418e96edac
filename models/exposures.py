"""What shoppers have seen, as training knows them: by their numbers and the items' rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from features.lists.exposures import Seen
from models.arrays import Array
from models.items import Items
from models.parts import Rows

See = Callable[[Sequence[str]], Seen]
"""Returns what shoppers with these ids have seen."""


@dataclass(frozen=True, slots=True)
class Exposures:
    """Who (number of the log, ascending) saw which item (row), and when, int64[n] each."""

    users: Rows
    items: Rows
    ts: Rows

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.users)

    def arrays(self) -> Mapping[str, Array]:
        """Return the columns, by name."""
        return {"users": self.users, "items": self.items, "ts": self.ts}

    @classmethod
    def of_log(cls, user_ids: Sequence[str], users: Rows, items: Items, see: See) -> Self:
        """Return what `users`, ascending numbers of `user_ids`, have seen of `items`."""
        told = see([user_ids[user] for user in users.tolist()])
        rows = items.rows_of(told.items)
        known = rows >= 0
        return cls(users[told.by[known]], rows[known], told.at_ms[known])

    def between(self, start_ms: int, end_ms: int) -> "Exposures":
        """Return those from the start and before the end."""
        inside = (self.ts >= start_ms) & (self.ts < end_ms)
        return Exposures(self.users[inside], self.items[inside], self.ts[inside])

    def of(self, user: int) -> Rows:
        """Return the items that a shopper saw."""
        begin, end = np.searchsorted(self.users, [user, user + 1])
        return self.items[begin:end]


_NONE: Rows = np.empty(0, np.int64)

UNKNOWN = Exposures(_NONE, _NONE, _NONE)
"""Nothing was logged."""
