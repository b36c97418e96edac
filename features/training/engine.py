"""Where a training set's features are computed: an engine yields them, chunk by chunk."""

from collections.abc import Generator
from functools import partial
from typing import Protocol

from features.errors import EngineError
from features.offline.store import OfflineStore
from features.training.chunk import Chunk
from features.training.labels import Labels
from features.training.local_engine import local_chunks

ENGINES = ("local", "spark")


class Engine(Protocol):
    """Computes the features of labels from the tables; closed, it leaves nothing behind."""

    def __call__(self, store: OfflineStore, labels: Labels, rows: int) -> Generator[Chunk]:
        """Yield the features of `labels`, some `rows` of them after the other, in their order.

        Raises `StoreError` where the tables cannot be read, `EngineError` where it fails itself.
        """
        ...


def engine_named(name: str, master: str | None = None) -> Engine:
    """Return one of `ENGINES`; `master` is where Spark runs, None for what its configuration says.

    Raises `EngineError` where pyspark is not installed.
    """
    if name == "local":
        return local_chunks
    try:
        from features.training.spark_engine import spark_chunks  # noqa: PLC0415 (an extra, and a second)
    except ModuleNotFoundError as error:
        raise not_installed(error) from None
    return partial(spark_chunks, master=master)


def not_installed(error: ModuleNotFoundError) -> EngineError:
    """Return what to say where a module of Spark's is not there."""
    return EngineError(f"--engine spark needs {error.name}: pip install 'cuvee[train,spark]'")
