"""Training sets: labels joined with every feature, as it was known at each row's moment.

    labels, a chunk at a time ─ their shoppers, a part at a time
                                   └─ events of these ─ sorted ─ joined ─ features ─ rows in place

Memory holds one chunk of labels and the events of one part of its shoppers; the tables may be
larger than it. The features are those that serving computes, by the same function.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from pyarrow import parquet

from features.declared import FEATURE_SET
from features.errors import InputError
from features.events import Records
from features.feature import Dtype
from features.grouping import ONE_KEY
from features.kept_events import USER_ID, events_of, numbered, profiles_of
from features.labels import MASK, Labels
from features.moments import Moments
from features.offline import PART_EVENTS, OfflineStore
from features.point_in_time import PointInTime, joined
from features.progress import progress
from features.vector import FeatureVectors

CHUNK = 1_000_000
"""Rows of labels at a time."""

AT_ONCE = ONE_KEY
"""Pairs whose features are computed together."""

_TYPES = {Dtype.FLOAT: pl.Float32, Dtype.INT: pl.Int64, Dtype.BOOL: pl.Boolean}


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What was written."""

    rows: int
    strangers: int
    """Rows of shoppers of whom nothing was known at their moment."""

    version: str


def write_training_set(
    store: OfflineStore, labels: Labels, path: Path, *, mask: bool = False
) -> TrainingSet:
    """Write `labels` with every feature into the Parquet file `path`, in their order.

    With `mask` each feature has a column more that tells whether it was missing. The file is
    there whole or not at all. Raises `InputError` where a label has a feature's name.
    """
    added = [*FEATURE_SET.names, *(f"{name}{MASK}" for name in FEATURE_SET.names if mask)]
    if taken := sorted(set(added) & set(labels.rows.columns)):
        raise InputError(f"--labels: column {taken[0]!r}: a feature has that name; rename it")
    version = store.version()
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    strangers = 0
    try:
        with progress("joining", len(labels)) as bar:
            writer = None
            for frame, unknown in _frames(store, labels, mask=mask):
                table = frame.to_arrow().replace_schema_metadata(_about(version))
                writer = writer or parquet.ParquetWriter(scratch, table.schema)
                writer.write_table(table)
                strangers += unknown
                bar.advance(len(frame))
            if writer is not None:
                writer.close()
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    return TrainingSet(len(labels), strangers, version)


def _about(version: str) -> dict[str, str]:
    told = {"features": FEATURE_SET.schema_hash, "dataset": version}
    return {"cuvee": json.dumps(told)}


def _frames(
    store: OfflineStore, labels: Labels, *, mask: bool
) -> Iterator[tuple[pl.DataFrame, int]]:
    """Yield the rows of the set, and how many of each piece are of strangers."""
    parts = max(math.ceil(store.count("events") / PART_EVENTS), 1)
    for start in range(0, len(labels), CHUNK):
        rows = labels.rows.slice(start, CHUNK)
        as_of_ms = labels.as_of_ms[start : start + CHUNK]
        vectors, unknown = _vectors(store, rows, as_of_ms, parts)
        yield rows.with_columns(_columns(vectors, mask=mask)), unknown


def _vectors(
    store: OfflineStore,
    rows: pl.DataFrame,
    as_of_ms: npt.NDArray[np.int64],
    parts: int,
) -> tuple[FeatureVectors, int]:
    """Return the features of `rows`, and how many of these are of strangers."""
    shape = len(rows), len(FEATURE_SET.names)
    told, unknown = FeatureVectors(np.empty(shape, np.float32), np.empty(shape, bool)), 0
    part_of = (rows[USER_ID].hash() % parts).to_numpy()
    for part in range(parts):
        places = np.flatnonzero(part_of == part)
        users = rows[USER_ID].gather(places)
        shoppers, numbers = numbered(users)
        records, offsets = events_of(store, shoppers)
        profiles = profiles_of(store, shoppers)
        # Pairs of one shopper, in order of time, look at events that lie close together.
        order = np.lexsort((as_of_ms[places], numbers))
        for begin in range(0, len(order), AT_ONCE):
            some = order[begin : begin + AT_ONCE]
            moments = _moments(rows, places[some], as_of_ms, [profiles[u] for u in numbers[some]])
            pairs = _joined(records, offsets, numbers[some], moments)
            vectors = pairs.vectors(FEATURE_SET.features)
            told.values[places[some]], told.missing[places[some]] = vectors
            unknown += int((pairs.slices.starts == pairs.slices.ends).sum())
    return told, unknown


def _joined(
    records: Records,
    offsets: npt.NDArray[np.int64],
    users: npt.NDArray[np.int64],
    moments: Moments,
) -> PointInTime:
    """Return what was known of ascending `users`, from the events of those and no others."""
    first, last = int(users[0]), int(users[-1])
    begin, end = offsets[first], offsets[last + 1]
    own = offsets[first : last + 2] - begin
    return joined(records[begin:end], own, users - first, moments)


def _moments(
    rows: pl.DataFrame,
    places: npt.NDArray[np.int64],
    as_of_ms: npt.NDArray[np.int64],
    profiles: list[Mapping[str, object] | None],
) -> Moments:
    """Return the moments of some rows; a column `country` or `lat` tells where each was."""

    def told(name: str) -> list[object]:
        if name not in rows.columns:
            return [None] * len(places)
        values: list[object] = rows[name].gather(places).to_list()
        return values

    return Moments(as_of_ms[places], told("country"), told("lat"), profiles)  # type: ignore[arg-type]


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
