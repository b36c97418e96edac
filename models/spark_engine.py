"""The part of training that grows with the events, on Apache Spark, by the same functions.

    parts of the shoppers ─ a task each ─ what they did ─ home, part by part
    grades, in blocks ───── a task each ─ XᵀX of each ─── added up here, in order

A worker opens the tables of the home where they lie, at the version that is trained on. What it
computes stays on its disk until it has come home: all tasks run at once, and this process holds
one result at a time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Generic, TypeVar

from pyspark import RDD, StorageLevel
from pyspark.sql import SparkSession
from scipy import sparse

from features.errors import EngineError
from features.offline.parts import Part
from features.offline.store import OfflineStore
from features.training.spark_session import spark_session
from models.code_revision import sources
from models.engine import Engine
from models.gram import Doubles, added, blocks_of, counted
from models.parts import Floats
from models.stages import Arrays
from models.training_log import Read, part_arrays

Task = TypeVar("Task")
Result = TypeVar("Result")


@contextmanager
def spark_engine(master: str | None) -> Iterator[Engine]:
    """Give the engine of a session: that of this process, else one on `master` that ends again.

    Raises `EngineError` where Spark does not start, or fails meanwhile.
    """
    with spark_session(master) as spark:
        yield Engine(partial(_read, spark), partial(_gram, spark))


@contextmanager
def _read(spark: SparkSession, store: OfflineStore, parts: Sequence[Part]) -> Iterator[Read]:
    work = partial(read_part, store.home.absolute(), store.version(), sources())
    with _done(spark, parts, work) as told:
        yield told.of


def read_part(home: Path, version: str, code: str, part: Part) -> Arrays:
    """Return a part of the log of a home, in a worker.

    Raises `EngineError` where the worker's sources are not those of checksum `code`.
    """
    _check(code)
    return part_arrays(OfflineStore(home).at(version), part)


def _gram(spark: SparkSession, matrix: sparse.csr_matrix) -> Doubles:
    blocks = [*blocks_of(matrix)]
    with _done(spark, blocks, partial(count_block, sources())) as told:
        return added((told.of(number) for number in range(len(blocks))), matrix.shape[1])


def count_block(code: str, block: sparse.csr_matrix) -> Floats:
    """Return what a block has for each two items, in a worker; raise as `read_part` does."""
    _check(code)
    return counted(block)


def _check(code: str) -> None:
    if (own := sources()) != code:
        raise EngineError(f"a worker has code {own}, not {code}: it needs the same cuvee")


class _Results(Generic[Task, Result]):
    """What came of tasks; all are done when the first is asked for, in no order."""

    def __init__(self, told: "RDD[Result]") -> None:
        self._told = told

    def of(self, number: int) -> Result:
        """Return what came of task `number`."""
        (result,) = self._computed.context.runJob(self._computed, list, [number])
        return result

    @cached_property
    def _computed(self) -> "RDD[Result]":
        if self._told.getNumPartitions() > 1:
            self._told.foreach(_nothing)
        return self._told


@contextmanager
def _done(
    spark: SparkSession, tasks: Sequence[Task], work: Callable[[Task], Result]
) -> Iterator[_Results[Task, Result]]:
    spread = spark.sparkContext.parallelize(tasks, max(len(tasks), 1))
    told = spread.map(work).persist(StorageLevel.DISK_ONLY)
    try:
        yield _Results(told)
    finally:
        told.unpersist()


def _nothing(_result: object) -> None:
    """Let a result be computed, and leave it where it is."""
