"""What the tables say of the events of one batch: read once, and later only what was added.

    ids of a batch ── in a row group of the table? ── no: only its ids were read
                                                   └─ yes: what it says of them

Memory holds 8 bytes for each event asked about and 32 for each of them that is there, whatever
the size of the table.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from pyarrow import parquet

from features.offline.known_ids import KnownIds, id_hashes
from features.offline.said import ID, SAID, EventHashes, hashed, joined

_BATCH_ROWS = 100_000


class KnownEvents:
    """The events of a table that have one of some ids, and what each of them says."""

    def __init__(self, ids: EventHashes) -> None:
        """Look for events whose id has one of these hashes; nothing is read yet."""
        self._wanted = np.unique(ids)
        self._begin()

    def _begin(self) -> None:
        self._files: frozenset[Path] = frozenset()
        self.ids, self.said = KnownIds(), joined(())

    def learn(self, paths: Iterable[Path]) -> None:
        """Know what these Parquet files of the table say; those known already are not read."""
        files = frozenset(paths)
        if not self._files <= files:  # rows were deleted, or files merged
            self._begin()
        parts = [self.said]
        for path in sorted(files - self._files):
            for events in self._found_in(path):
                self.ids.add(id_hashes(events[ID]))
                parts.append(hashed(events))
        self.said, self._files = joined(parts), files

    def _found_in(self, path: Path) -> Iterator[pl.DataFrame]:
        with parquet.ParquetFile(path) as file:
            for group in range(file.num_row_groups if len(self._wanted) else 0):
                found = [self._among(rows[ID]) for rows in _rows(file, group, [ID])]
                begin, hits = 0, np.concatenate(found) if found else np.empty(0, np.bool_)
                for rows in _rows(file, group, [ID, *SAID]) if hits.any() else ():
                    yield rows.filter(hits[begin : begin + len(rows)])
                    begin += len(rows)

    def _among(self, ids: pl.Series) -> npt.NDArray[np.bool_]:
        hashes = ids.hash().to_numpy()
        at = np.minimum(np.searchsorted(self._wanted, hashes), len(self._wanted) - 1)
        found: npt.NDArray[np.bool_] = self._wanted[at] == hashes
        return found


def _rows(file: parquet.ParquetFile, group: int, columns: list[str]) -> Iterator[pl.DataFrame]:
    for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=columns):
        yield pl.DataFrame(batch)
