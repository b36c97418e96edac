"""Which event ids are known already, by hash: 16 bytes an event, without reading rows again.

An id is known by two independent 64-bit hashes, so that among ten million events a false match
is as unlikely as 1 in 10^24. The hashes never leave the process: they may differ between
versions of polars.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from pyarrow import parquet

_BATCH_ROWS = 100_000

HashPairs = npt.NDArray[np.uint64]
"""uint64[2, n]: the two hashes of each id, as columns."""


class KnownIds:
    """A set of ids that only grows, in sorted runs of which each is twice as long as the next."""

    def __init__(self) -> None:
        """Know nothing."""
        self._runs: list[HashPairs] = []

    def __len__(self) -> int:
        """Return how many ids were added."""
        return sum(run.shape[1] for run in self._runs)

    def add(self, hashes: HashPairs) -> None:
        """Know `hashes` from now on."""
        if not hashes.shape[1]:
            return
        self._runs.append(hashes[:, np.argsort(hashes[0])])
        while len(self._runs) > 1 and self._runs[-1].shape[1] * 2 > self._runs[-2].shape[1]:
            merged = np.concatenate((self._runs[-2], self._runs[-1]), axis=1)
            self._runs[-2:] = [merged[:, np.argsort(merged[0], kind="stable")]]

    def contains(self, hashes: HashPairs) -> npt.NDArray[np.bool_]:
        """Return, for each of `hashes`, whether it was added before."""
        found = np.zeros(hashes.shape[1], bool)
        for run in self._runs:
            at = np.minimum(np.searchsorted(run[0], hashes[0]), run.shape[1] - 1)
            found |= (run[:, at] == hashes).all(axis=0)
        return found


def id_hashes(ids: pl.Series) -> HashPairs:
    """Return both hashes of each id."""
    return np.stack((ids.hash(1).to_numpy(), ids.hash(2).to_numpy()))


def id_hashes_in(path: Path) -> HashPairs:
    """Return both hashes of each event's id in a Parquet file, read some rows at a time."""
    with parquet.ParquetFile(path) as file:
        hashes, begin = np.empty((2, file.metadata.num_rows), np.uint64), 0
        for batch in file.iter_batches(_BATCH_ROWS, columns=["event_id"]):
            end = begin + batch.num_rows
            hashes[:, begin:end] = id_hashes(pl.Series(batch.column(0)))
            begin = end
    return hashes
