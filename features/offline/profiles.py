"""What is known of shoppers beside events, as of any moment.

A record counts until it is replaced, and the first one from the beginning: what a shop knew
before it said so here, nobody can tell.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from features.offline import assemble
from features.offline.translated import collected

Ints = npt.NDArray[np.int64]


class Earlier(NamedTuple):
    """The records that a shopper had before, and until when each counted, ascending."""

    until_ms: Ints
    profiles: Sequence[Mapping[str, object]]


class Profiles:
    """The records of some shoppers, by number."""

    def __init__(
        self, current: Sequence[Mapping[str, object] | None], earlier: Mapping[int, Earlier]
    ) -> None:
        """Take those that count now, None for nobody known, and of some shoppers those before."""
        self._current = current
        self._earlier = earlier
        self._changed = np.fromiter(earlier, np.int64, len(earlier))

    @classmethod
    def of(cls, users: pl.LazyFrame, changes: pl.LazyFrame, shoppers: pl.Series) -> "Profiles":
        """Return those of `shoppers`, from rows of the tables `users` and `user_changes`.

        Raises `StoreError` where they cannot be read.
        """
        name, whose = shoppers.name, pl.col(shoppers.name).is_in(shoppers.implode())
        known = dict(assemble.profiles(collected(users.filter(whose))))
        replaced = collected(changes.filter(whose)).sort("until", maintain_order=True)
        number = {user_id: at for at, user_id in enumerate(shoppers)} if len(replaced) else {}
        return cls(
            [known.get(user_id) for user_id in shoppers],
            {
                number[str(user_id)]: Earlier(
                    rows["until"].dt.epoch("ms").to_numpy(),
                    [profile for _, profile in assemble.profiles(rows)],
                )
                for (user_id,), rows in replaced.group_by(name, maintain_order=True)
            },
        )

    def at(self, users: Ints, as_of_ms: Ints) -> list[Mapping[str, object] | None]:
        """Return what counted of `users` int64[n], numbers of shoppers, at moments int64[n]."""
        told = [self._current[user] for user in users.tolist()]
        for place in np.flatnonzero(np.isin(users, self._changed)).tolist():
            earlier = self._earlier[int(users[place])]
            before = int(earlier.until_ms.searchsorted(as_of_ms[place], side="right"))
            if before < len(earlier.profiles):
                told[place] = earlier.profiles[before]
        return told
