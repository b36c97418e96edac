"""What shoppers have seen, as training knows them: by their numbers and the items' rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from features.lists.exposures import Seen
from models.arrays import Array
from models.dataset import POSITIVE, Interactions
from models.items import Items
from models.parts import Rows

Bools = npt.NDArray[np.bool_]

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

    def until_wanted(self, pairs: Interactions) -> "Exposures":
        """Return those that came no later than what they show was wanted.

        `pairs` tell when that was; what a page shows of a purchase did not lead to it.
        """
        wanted = pairs.only(pairs.grades >= POSITIVE)
        known = pl.DataFrame({"user": wanted.users, "item": wanted.items, "wanted": wanted.ts})
        told = pl.DataFrame({"user": self.users, "item": self.items, "ts": self.ts})
        joined = told.join(known, ["user", "item"], "left", maintain_order="left")
        led = joined.select(pl.col("wanted").is_null() | (pl.col("ts") <= pl.col("wanted")))
        return self._only(led.to_series().to_numpy())

    def between(self, start_ms: int, end_ms: int) -> "Exposures":
        """Return those from the start and before the end."""
        return self._only((self.ts >= start_ms) & (self.ts < end_ms))

    def of(self, user: int) -> Rows:
        """Return the items that a shopper saw."""
        begin, end = np.searchsorted(self.users, [user, user + 1])
        return self.items[begin:end]

    def _only(self, chosen: Bools) -> "Exposures":
        return Exposures(self.users[chosen], self.items[chosen], self.ts[chosen])


_NONE: Rows = np.empty(0, np.int64)

UNKNOWN = Exposures(_NONE, _NONE, _NONE)
"""Nothing was logged."""
