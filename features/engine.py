"""Where a training set's features are computed: an engine yields them, chunk by chunk."""

from collections.abc import Generator
from typing import Protocol

from features.chunk import Chunk
from features.labels import Labels
from features.offline import OfflineStore


class Engine(Protocol):
    """Computes the features of labels from the tables; closed, it leaves nothing behind."""

    def __call__(self, store: OfflineStore, labels: Labels, rows: int) -> Generator[Chunk]:
        """Yield the features of `labels`, some `rows` of them after the other, in their order.

        Raises `StoreError` where the tables cannot be read.
        """
        ...
