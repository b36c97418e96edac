"""What events say, by hash: an event never changes, so all of one id say the same.

    ids of a batch ── in a file of the table? ── no: only its ids were read
                                              └─ yes: what it says of them

Memory holds 16 bytes for each event asked about, whatever the size of the table.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from pyarrow import parquet

Hashes = npt.NDArray[np.uint64]

_ID = "event_id"
_SAID = ("type", "user_id", "item_id", "timestamp", "value")
_BATCH_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Said:
    """Hashes of the ids of some events, and of what each says."""

    ids: Hashes
    said: Hashes

    def __len__(self) -> int:
        """Return how many events these are."""
        return len(self.ids)

    def where(self, wanted: npt.NDArray[np.bool_]) -> "Said":
        """Return those of the events that are wanted."""
        return Said(self.ids[wanted], self.said[wanted])

    def differing(self) -> npt.NDArray[np.bool_]:
        """Tell of each event whether it differs from the first of its id."""
        _, begins, groups = np.unique(self.ids, return_index=True, return_inverse=True)
        differ: npt.NDArray[np.bool_] = self.said[begins][groups] != self.said
        return differ


def hashed(events: pl.DataFrame | pl.LazyFrame) -> Said:
    """Return what these events say."""
    told = events.select(id=pl.col(_ID).hash(), said=pl.struct(_SAID).hash())
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


def said_of(ids: Hashes, paths: Iterable[Path]) -> Said:
    """Return what the events in Parquet files say whose id has one of these hashes."""
    wanted = np.unique(ids)
    return joined(part for path in paths if len(wanted) for part in _said_in(path, wanted))


def _said_in(path: Path, wanted: Hashes) -> Iterator[Said]:
    with parquet.ParquetFile(path) as file:
        if not any(_among(rows[_ID].hash(), wanted).any() for rows in _frames(file, [_ID])):
            return
        for rows in _frames(file, [_ID, *_SAID]):
            told = hashed(rows)
            yield told.where(_among(told.ids, wanted))


def _frames(file: parquet.ParquetFile, columns: list[str]) -> Iterator[pl.DataFrame]:
    for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
        yield pl.DataFrame(batch)


def _among(ids: pl.Series | Hashes, wanted: Hashes) -> npt.NDArray[np.bool_]:
    hashes = np.asarray(ids)
    at = np.minimum(np.searchsorted(wanted, hashes), len(wanted) - 1)
    found: npt.NDArray[np.bool_] = wanted[at] == hashes
    return found
