"""Which event ids a table holds: every file of it is read once, however often that is asked."""

from collections.abc import Iterable
from pathlib import Path

from features.offline.known_ids import KnownIds, id_hashes_in


class TableIds:
    """The event ids of a table, 16 bytes each."""

    def __init__(self) -> None:
        """Read nothing yet."""
        self._files: frozenset[Path] = frozenset()
        self.known = KnownIds()

    def learn(self, paths: Iterable[Path]) -> None:
        """Know the ids in these Parquet files of the table; those known already are not read."""
        files = frozenset(paths)
        if not self._files <= files:  # rows were deleted, or files merged: begin anew
            self.known, self._files = KnownIds(), frozenset()
        for file in sorted(files - self._files):
            self.known.add(id_hashes_in(file))
        self._files = files
