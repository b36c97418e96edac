"""The features of some shoppers' labels, from the events and records of these: one part of a set.

    pairs ─ their shoppers ─ events of these, sorted ─ joined ─ features, a block at a time

A part needs nothing that stands outside it, wherever it is computed.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from features.computation.point_in_time import PointInTime, joined
from features.computation.vector import FeatureVectors
from features.declared import FEATURE_SET
from features.errors import InputError
from features.events import Records
from features.grouping import ONE_KEY
from features.identity.merges import KEY, Merges
from features.moments import Moments
from features.offline.kept_events import USER_ID, events_of, numbered
from features.offline.profiles import Profiles
from features.training.labels import COUNTRY, LATITUDE, Labels

AT_ONCE = ONE_KEY
"""Pairs whose features are computed together."""

_PLACE = {COUNTRY: pl.String, LATITUDE: pl.Float64}


class Block(NamedTuple):
    """The features of n rows of a set."""

    rows: npt.NDArray[np.int64]
    """Which rows these are, int64[n]."""

    vectors: FeatureVectors
    strangers: npt.NDArray[np.bool_]
    """Of whom nothing was known at their moment, bool[n]."""


def pairs_of(labels: Labels, merges: Merges) -> pl.DataFrame:
    """Return what features need of labels: `row`, `user_id`, `as_of_ms`, `country`, `lat`, `key`.

    `key` is the shopper's id, or that of their state at the moment where others were merged with
    them. Raises `InputError` where a column country holds no text, or lat no numbers.
    """
    rows = labels.rows
    missing = [pl.lit(None).alias(name) for name in _PLACE if name not in rows.columns]
    try:
        told = rows.with_columns(missing).with_columns(pl.col(n).cast(t) for n, t in _PLACE.items())
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"--labels: expected text in country, numbers in lat: {reason}") from None
    numbers = pl.int_range(pl.len(), dtype=pl.Int64)
    as_of_ms = pl.Series("as_of_ms", labels.as_of_ms)
    pairs = told.select(numbers.alias("row"), USER_ID, as_of_ms, *_PLACE)
    return merges.keyed(pairs, labels.as_of_ms)


class Tables(NamedTuple):
    """Rows of the tables, of the shoppers of a part and perhaps of others; events by `key`."""

    events: pl.LazyFrame
    users: pl.LazyFrame
    changes: pl.LazyFrame


def part_of(pairs: pl.DataFrame, tables: Tables) -> Iterator[Block]:
    """Yield the features of `pairs`, each row once.

    Raises `StoreError` where `tables` cannot be read.
    """
    if not len(pairs):
        return
    states, numbers = numbered(pairs[KEY])
    records, offsets = events_of(tables.events, states)
    same = bool((pairs[KEY] == pairs[USER_ID]).all())
    shoppers, whose = (states, numbers) if same else numbered(pairs[USER_ID])
    profiles = Profiles.of(tables.users, tables.changes, shoppers.alias(USER_ID))
    # Pairs of one shopper, in order of time, look at events that lie close together.
    order = np.lexsort((pairs["as_of_ms"].to_numpy(), numbers))
    asked = pairs.drop(USER_ID, KEY)
    for begin in range(0, len(order), AT_ONCE):
        places = order[begin : begin + AT_ONCE]
        some, known = asked[places], numbers[places]
        told = _joined(records, offsets, known, _moments(some, whose[places], profiles))
        strangers = told.slices.starts == told.slices.ends
        yield Block(some["row"].to_numpy(), told.vectors(FEATURE_SET.features), strangers)


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


def _moments(pairs: pl.DataFrame, users: npt.NDArray[np.int64], profiles: Profiles) -> Moments:
    as_of_ms = pairs["as_of_ms"].to_numpy()
    known = profiles.at(users, as_of_ms)
    return Moments(as_of_ms, pairs["country"].to_list(), pairs["lat"].to_list(), known)
