"""What events say, by hash: an event never changes, so all of one id say the same."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

EventHashes = npt.NDArray[np.uint64]
"""uint64[n], one for each event, by polars: its versions may hash differently."""

ID = "event_id"
SAID = ("type", "user_id", "item_id", "timestamp", "value")


@dataclass(frozen=True, slots=True)
class Said:
    """Hashes of the ids of some events, and of what each says."""

    ids: EventHashes
    said: EventHashes

    def __len__(self) -> int:
        """Return how many events these are."""
        return len(self.ids)

    def differing(self) -> npt.NDArray[np.bool_]:
        """Tell of each event whether it differs from the first of its id."""
        _, begins, groups = np.unique(self.ids, return_index=True, return_inverse=True)
        differ: npt.NDArray[np.bool_] = self.said[begins][groups] != self.said
        return differ


def hashed(events: pl.DataFrame | pl.LazyFrame) -> Said:
    """Return what these events say."""
    told = events.select(id=pl.col(ID).hash(), said=pl.struct(SAID).hash())
    if isinstance(told, pl.LazyFrame):
        told = told.collect(engine="streaming")
    return Said(told["id"].to_numpy(), told["said"].to_numpy())


def joined(parts: Iterable[Said]) -> Said:
    """Return the events of all parts, in their order."""
    all_parts = [Said(np.empty(0, np.uint64), np.empty(0, np.uint64)), *parts]
    return Said(
        np.concatenate([part.ids for part in all_parts]),
        np.concatenate([part.said for part in all_parts]),
    )
