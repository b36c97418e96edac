"""Streams of Arrow batches on their way into a table: new rows only, in the table's schema."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, TypeAlias

import polars as pl
import pyarrow as pa

from features.offline.known_ids import KnownIds, id_hashes
from features.offline.said import Said, hashed, joined

Batches: TypeAlias = Iterable[Any]
"""Rows of one table: a `pyarrow.Table`, or an iterable or reader of record batches."""


class CountedBatches:
    """An iterator of batches that counts rows and remembers its error: delta-rs does not."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        """Draw from `batches`."""
        self._batches = batches
        self.rows = 0
        self.error: BaseException | None = None

    def is_exhausted(self) -> bool:
        """Tell whether no batch is left, drawing the next one to see."""
        first = next(self._batches, None)
        if first is not None:
            self._batches = chain([first], self._batches)
        return first is None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Return itself."""
        return self

    def __next__(self) -> pa.RecordBatch:
        """Return the next batch."""
        try:
            batch = next(self._batches)
        except StopIteration:
            raise
        except BaseException as error:  # Ctrl-C too
            self.error = error
            raise
        self.rows += batch.num_rows
        return batch


class Fresh:
    """The events of a stream whose id is neither known nor met before in the stream."""

    def __init__(
        self,
        batches: Iterator[pa.RecordBatch],
        known: KnownIds,
        check: Callable[[Said], None] | None = None,
    ) -> None:
        """Draw from `batches` and drop what is `known`; at the end `check` sees what that said."""
        self._batches = batches
        self._known = known
        self._check = check
        self._dropped: list[Said] = []
        self._met = KnownIds()
        self.accepted = 0
        self.duplicates = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield batches without duplicates, none of them empty."""
        for batch in self._batches:
            fresh = self._filter(batch)
            self.accepted += fresh.num_rows
            self.duplicates += batch.num_rows - fresh.num_rows
            if fresh.num_rows:
                yield fresh
        if self._check is not None:
            self._check(joined(self._dropped))

    def _filter(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        ids = pl.Series(batch.column("event_id"))
        hashes = id_hashes(ids)
        known = self._known.contains(hashes)
        new = ids.is_first_distinct().to_numpy() & ~known & ~self._met.contains(hashes)
        if self._check is not None and known.any():
            self._dropped.append(hashed(pl.DataFrame(batch).filter(known)))
        self._met.add(hashes[:, new])
        return batch if new.all() else batch.filter(pa.array(new))


def stream(batches: Batches) -> Iterator[pa.RecordBatch]:
    """Return an iterator over `batches`."""
    return iter(batches.to_batches()) if isinstance(batches, pa.Table) else iter(batches)


def conformed(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the batches with the columns of `schema`, in its order and types."""
    for batch in batches:
        yield from pa.Table.from_batches([batch]).select(schema.names).cast(schema).to_batches()


def as_frame(table: pa.Table) -> pl.DataFrame:
    """Return the rows of an Arrow table as a frame."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 (a table makes a frame, never a series)
    return frame
