"""A training set's features on Apache Spark: its workers compute the parts, by the same function.

    labels ──────────┐
    events, records ─┴─ by bucket of shoppers ─ cogroup ─ a part each ─ on disk ─ chunk by chunk

The tables' Parquet files are read as they are at a version. This process holds the labels and one
chunk of features.
"""

import math
import re
from collections.abc import Callable, Generator
from functools import partial, reduce

import numpy as np
import polars as pl
import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sql

from features.computation.vector import FeatureVectors
from features.declared import FEATURE_NAMES, FEATURE_SET
from features.errors import EngineError
from features.identity.merges import KEY, MARK
from features.offline.kept_events import KEPT_COLUMNS, KEPT_TYPES, USER_ID
from features.offline.store import OfflineStore
from features.offline.tables import CHANGES, STORED
from features.training.chunk import Chunk
from features.training.labels import Labels
from features.training.part import Block, Tables, pairs_of, part_of
from features.training.spark_session import spark_session

BUCKET_ROWS = 1_000_000
"""Events, and labels, of a bucket, about; a worker's process holds one at a time."""

BUCKETS_PER_CORE = 4

_WIDTH = len(FEATURE_NAMES)
_PACKED = np.dtype([("values", "<f4", _WIDTH), ("missing", "?", _WIDTH), ("stranger", "?")])
"""A row's features as they travel."""

_TRAVELS = pa.schema([("row", pa.int64()), ("packed", pa.binary())])
_OF_GLOBS = re.compile(r"[\\{}\[\]*?]")


def spark_chunks(
    store: OfflineStore, labels: Labels, rows: int, *, master: str | None
) -> Generator[Chunk]:
    """Yield the features of `labels`, some `rows` of them after the other.

    Raises `EngineError` where Spark does not start or fails.
    """
    merges = store.merges(labels.shoppers())
    pairs = pairs_of(labels, merges)
    with spark_session(master) as spark:
        features = _features(spark, store, merges.states(pairs[KEY]), pairs).persist(
            StorageLevel.DISK_ONLY
        )
        try:
            for start in range(0, len(pairs), rows):
                yield _chunk(features, start, min(start + rows, len(pairs)))
        finally:
            features.unpersist()


def _features(
    spark: SparkSession, store: OfflineStore, states: pl.DataFrame, pairs: pl.DataFrame
) -> DataFrame:
    """Return `row` and packed features of every pair, in no order."""
    cores = spark.sparkContext.defaultParallelism
    most = max(store.count("events"), len(pairs))
    buckets = max(math.ceil(most / BUCKET_ROWS), BUCKETS_PER_CORE * cores)
    spark.conf.set("spark.sql.shuffle.partitions", buckets)
    shopper = sql.substring_index(USER_ID, MARK, 1)  # whichever state of theirs it is
    bucket = sql.pmod(sql.xxhash64(shopper), sql.lit(buckets)).alias("bucket")
    pieces = [some.to_arrow() for some in pairs.iter_slices(BUCKET_ROWS)]  # texts up to 2 GB each
    asked = spark.createDataFrame(pa.concat_tables(pieces))
    known = _known(spark, store, states)
    sides = [each.select("*", bucket).groupBy("bucket") for each in (asked, known)]
    worker = _worker(FEATURE_SET.schema_hash)
    return sides[0].cogroup(sides[1]).applyInArrow(worker, "row long, packed binary")


def _known(spark: SparkSession, store: OfflineStore, states: pl.DataFrame) -> DataFrame:
    """Return events that are kept, and records of shoppers, now and before, one below the other.

    Records have no type, and those that count now no `until`.
    """
    events = _table(spark, store, "events").select(*KEPT_COLUMNS)
    kept = events.where(sql.col("type").isin(*KEPT_TYPES))
    if len(states):
        kept = kept.unionByName(_of_states(kept, spark.createDataFrame(states.to_arrow())))
    records = (_table(spark, store, name) for name in ("users", CHANGES))
    return reduce(partial(DataFrame.unionByName, allowMissingColumns=True), records, kept)


def _of_states(events: DataFrame, states: DataFrame) -> DataFrame:
    """Return the events of states, with their key for the shopper."""
    arrived = sql.unix_millis("arrived_at")
    inside = (arrived > sql.col("since")) & (arrived <= sql.col("until"))
    of = events.join(sql.broadcast(states), USER_ID).where(inside)
    return of.withColumn(USER_ID, sql.col(KEY)).select(*KEPT_COLUMNS)


def _table(spark: SparkSession, store: OfflineStore, name: str) -> DataFrame:
    paths = [_OF_GLOBS.sub(r"\\\g<0>", f"file://{p.absolute()}") for p in store.paths(name)]
    if not paths:
        return spark.createDataFrame(STORED[name].empty_table())
    return spark.read.parquet(*paths)


def _worker(schema_hash: str) -> Callable[[pa.Table, pa.Table], pa.Table]:
    """Return what a worker does: by name, so that it computes by its own features."""

    def part(asked: pa.Table, known: pa.Table) -> pa.Table:
        return worked(asked, known, schema_hash)

    return part


def worked(asked: pa.Table, known: pa.Table, schema_hash: str) -> pa.Table:
    """Return the packed features of a bucket's pairs, from its shoppers' events and records.

    Raises `EngineError` where this process has features of another schema.
    """
    if schema_hash != FEATURE_SET.schema_hash:
        raise EngineError(
            f"a worker has features of schema {FEATURE_SET.schema_hash}, not {schema_hash}: it "
            "needs the same cuvee, and the same file in CUVEE_FEATURES"
        )
    pairs, rows = _frame(asked), _frame(known).lazy()
    is_event, is_past = pl.col("type").is_not_null(), pl.col("until").is_not_null()
    records = rows.filter(~is_event)
    tables = Tables(rows.filter(is_event), records.filter(~is_past), records.filter(is_past))
    blocks = [_packed(block) for block in part_of(pairs, tables)]
    return pa.concat_tables(blocks) if blocks else _TRAVELS.empty_table()


def _frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 (a table is no series)
    return frame


def _packed(block: Block) -> pa.Table:
    packed = np.empty(len(block.rows), _PACKED)
    packed["values"], packed["missing"] = block.vectors
    packed["stranger"] = block.strangers
    ends = np.arange(len(packed) + 1, dtype=np.int32) * _PACKED.itemsize
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(packed)]
    column = pa.Array.from_buffers(pa.binary(), len(packed), buffers)
    return pa.table([pa.array(block.rows), column], _TRAVELS)


def _chunk(features: DataFrame, start: int, end: int) -> Chunk:
    told = features.where(sql.col("row").between(start, end - 1)).toArrow()
    if len(told) != end - start:
        raise EngineError(f"--engine spark: {len(told)} of {end - start} rows came back")
    packed = np.frombuffer(b"".join(told["packed"].to_pylist()), _PACKED)
    vectors = FeatureVectors(packed["values"], packed["missing"])
    chunk = Chunk.empty(start, len(told))
    chunk.put(Block(told["row"].to_numpy(), vectors, packed["stranger"]))
    return chunk
