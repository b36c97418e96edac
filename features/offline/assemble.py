"""From the offline tables to what training and materialisation read: arrays, profiles, columns."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from features.catalogue import Catalogue
from features.eventlog import NO_RECORDS, EventLog
from features.events import RECORD, TYPE_CODES, VALUE_SCALE, Records, id_bits
from features.ids import Hashes, stable_hashes
from features.turns import TURNS

_SLICE = 1_000_000
"""Ids hashed at a time: their Python strings are the largest thing this module holds."""


def event_log(events: pl.DataFrame, users: pl.DataFrame) -> EventLog:
    """Return the `EventLog` of rows of the events table, stamped with `arrived_at`.

    Shoppers are sorted by id, their events by (stamp, turn, tag): the order the online store keeps.
    """
    if not len(events):
        return EventLog((), np.zeros(1, np.int64), NO_RECORDS, dict(profiles(users)))
    user_ids = events["user_id"].unique().sort()
    ordered = _numbers(events, user_ids).sort("user", "us", "tag")
    counts = np.bincount(ordered["user"].to_numpy(), minlength=len(user_ids))
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)))
    turns = (ordered["us"].to_numpy() % TURNS).astype(np.uint16)
    return EventLog(tuple(user_ids), offsets, _records(ordered), dict(profiles(users)), turns)


def _numbers(events: pl.DataFrame, user_ids: pl.Series) -> pl.DataFrame:
    """Return the events as integers only: `user` (its rank), `us`, `item`, `value`, `tag`."""
    codes = {str(kind): code for kind, code in TYPE_CODES.items()}
    plain = events.select(
        user=pl.col("user_id").cast(pl.Enum(user_ids)).to_physical(),
        us=pl.col("arrived_at").dt.epoch("us"),
        code=pl.col("type").replace_strict(codes, return_dtype=pl.UInt32),
    )
    value = np.rint(events["value"].fill_null(0.0).to_numpy() * VALUE_SCALE).astype(np.int32)
    tags = id_bits(_id_hashes(events["event_id"]))
    return plain.select("user", "us").with_columns(
        item=item_hashes(events["item_id"]),
        value=pl.Series(value),
        tag=pl.Series(tags | plain["code"].to_numpy()),
    )


def _id_hashes(ids: pl.Series) -> Hashes:
    starts = range(0, len(ids), _SLICE)
    return np.concatenate([stable_hashes(ids.slice(start, _SLICE).to_list()) for start in starts])


def item_hashes(items: pl.Series) -> pl.Series:
    """Return the stable hash of each item id, UInt64, 0 for none."""
    distinct = items.drop_nulls().unique()
    hashes = pl.Series(stable_hashes(distinct.to_list()), dtype=pl.UInt64)
    return items.replace_strict(distinct, hashes, default=0, return_dtype=pl.UInt64)


def _records(ordered: pl.DataFrame) -> Records:
    records = np.empty(len(ordered), RECORD)
    records["ts"] = ordered["us"].to_numpy() // TURNS
    for name in ("item", "value", "tag"):
        records[name] = ordered[name].to_numpy()
    return records


def profiles(users: pl.DataFrame) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield what rows of the users table say of each shopper, by user id."""
    for user_id, country, attributes in users.select("user_id", "country", "attributes").rows():
        known = {} if country is None else {"country": country}
        yield user_id, known | _attributes(attributes)


def _attributes(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    return {name: value for name, value in json.loads(text).items() if value is not None}


def catalogue(items: pl.DataFrame) -> Catalogue:
    """Return the `Catalogue` of rows of the items table, sorted by item id."""
    ordered = items.sort("item_id")
    attributes = [_attributes(text) for text in ordered["attributes"]]
    names = sorted({name for each in attributes for name in each})
    return Catalogue(
        item_ids=tuple(ordered["item_id"]),
        category=np.array(ordered["category"].fill_null("").to_list(), object),
        price=ordered["price"].cast(pl.Float32).fill_null(float("nan")).to_numpy().copy(),
        in_stock=ordered["in_stock"].to_numpy().copy(),
        attributes={name: _column([each.get(name) for each in attributes]) for name in names},
    )


def _column(values: list[object]) -> npt.NDArray[np.generic]:
    if all(value is None or isinstance(value, int | float) for value in values):
        return np.array([np.nan if value is None else value for value in values], np.float32)
    return np.array(["" if value is None else str(value) for value in values], object)
