"""Training sets: labels joined with every feature, as it was known at each row's moment.

    labels ─ an engine ─ features, a chunk at a time ─ rows in their order ─ one Parquet file

The features are those that serving computes, by the same function, whichever engine runs it.
"""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from pyarrow import parquet

from features.computation.vector import FeatureVectors
from features.declared import FEATURE_SET
from features.errors import InputError
from features.feature import Dtype
from features.offline.store import OfflineStore
from features.progress import progress
from features.scratch import scratch_folder
from features.training.engine import Engine
from features.training.labels import MASK, Labels
from features.training.local_engine import local_chunks

CHUNK = 1_000_000
"""Rows of labels at a time."""

_TYPES = {Dtype.FLOAT: pl.Float32, Dtype.INT: pl.Int64, Dtype.BOOL: pl.Boolean}


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What was written."""

    rows: int
    strangers: int
    """Rows of shoppers of whom nothing was known at their moment."""

    version: str


def write_training_set(
    store: OfflineStore,
    labels: Labels,
    path: Path,
    *,
    mask: bool = False,
    engine: Engine = local_chunks,
) -> TrainingSet:
    """Write `labels` with every feature into the Parquet file `path`, in their order.

    With `mask` each feature has a column more that tells whether it was missing. The file is
    there whole or not at all, and the same whatever `engine` computes it. Raises `InputError`
    where a label has a feature's name, or the file cannot be written.
    """
    added = [*FEATURE_SET.names, *(f"{name}{MASK}" for name in FEATURE_SET.names if mask)]
    if taken := sorted(set(added) & set(labels.rows.columns)):
        raise InputError(f"--labels: column {taken[0]!r}: a feature has that name; rename it")
    version = store.version()
    strangers = 0
    with (
        _written(path),
        scratch_folder(path.parent, f".{path.name}.") as folder,
        progress("joining", len(labels)) as bar,
        closing(engine(store, labels, CHUNK)) as chunks,
    ):
        writer = None
        for chunk in chunks:
            rows = labels.rows.slice(chunk.start, len(chunk))
            frame = rows.with_columns(_columns(chunk.vectors, mask=mask))
            table = frame.to_arrow().replace_schema_metadata(_about(version))
            writer = writer or parquet.ParquetWriter(folder / path.name, table.schema)
            writer.write_table(table)
            strangers += int(chunk.strangers.sum())
            bar.advance(len(chunk))
        if writer is not None:
            writer.close()
        (folder / path.name).replace(path)
    return TrainingSet(len(labels), strangers, version)


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _about(version: str) -> dict[str, str]:
    told = {"features": FEATURE_SET.schema_hash, "dataset": version}
    return {"cuvee": json.dumps(told)}


def _columns(vectors: FeatureVectors, *, mask: bool) -> list[pl.Series]:
    values = [
        pl.Series(feature.name, vectors.values[:, column]).cast(_TYPES[feature.dtype])
        for column, feature in enumerate(FEATURE_SET.features)
    ]
    if not mask:
        return values
    names = FEATURE_SET.names
    missing = (pl.Series(f"{name}{MASK}", vectors.missing[:, n]) for n, name in enumerate(names))
    return [*values, *missing]
