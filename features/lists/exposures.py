"""What shoppers have seen, as far as it was logged: what a shop reports, and lists that served.

events ── impressions ───────────────────────── each of them
served ── lists of which the shopper acted on an item ─ whole

A list that nobody acted on may never have come into view. Of one that was, how far it was looked at
is not known, and must not be guessed by what was acted on: lists that end there all have at their
end what was wanted, and to turn their order round would seem to be better.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from features.events import TYPE_CODES, EventType, type_codes
from features.ids import Hashes
from features.offline.assemble import item_hashes
from features.offline.parts import Part
from features.offline.store import OfflineStore
from features.offline.translated import collected

PART_EVENTS = 2_000_000
"""Events, about, of the shoppers that are looked at together."""

PART_LISTS = 100_000
"""Lists, about, that are: some ten times as many items."""

ACTED_WITHIN_MS = 86_400_000
"""What is done with an item of a list later than this says nothing of the list."""

_SHOWN = TYPE_CODES[EventType.IMPRESSION]
_ROWS = pl.Schema({"user": pl.UInt64, "item": pl.UInt64, "at_ms": pl.Int64})
_SEEN = pl.Schema({"user_id": pl.String, "item": pl.UInt64, "at_ms": pl.Int64})


class Seen(NamedTuple):
    """Who saw which item, and by when: places in the ids asked for, hashes, and milliseconds."""

    by: npt.NDArray[np.int64]
    items: Hashes
    at_ms: npt.NDArray[np.int64]


def seen(store: OfflineStore, user_ids: Sequence[str]) -> Seen:
    """Return what some shoppers have seen, shopper by shopper, in order of time.

    Raises `StoreError` where the tables cannot be read.
    """
    whose = pl.DataFrame({"user_id": user_ids}, {"user_id": pl.String})
    parts = store.parts(whose=whose, size=PART_EVENTS)
    told = pl.concat([_SEEN.to_frame(), *(_of_part(store, part) for part in parts)])
    placed = told.join(whose.with_row_index("by"), "user_id").sort("by", "at_ms", "item")
    by = placed["by"].cast(pl.Int64).to_numpy()
    return Seen(by, placed["item"].to_numpy(), placed["at_ms"].to_numpy())


def _of_part(store: OfflineStore, part: Part) -> pl.DataFrame:
    log = store.event_log(part=part)
    users = np.repeat(np.arange(len(log.user_ids)), np.diff(log.offsets))
    records = log.records
    columns = {"user": users, "item": records["item"], "at_ms": records["ts"]}
    events, is_shown = pl.DataFrame(columns, _ROWS), type_codes(records) == _SHOWN
    whose = pl.DataFrame({"user_id": log.user_ids}, {"user_id": pl.String})
    numbered = whose.with_row_index("user").cast({"user": pl.UInt64})
    acts = events.filter(~is_shown).sort("at_ms")
    touched = [_touched(lists, acts) for lists in _lists(store, numbered)]
    told = pl.concat((events.filter(is_shown), *touched))
    return told.join(numbered, "user").select(_SEEN.names())


def _lists(store: OfflineStore, numbered: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield the lists of these shoppers, whose they are now, an item a row, some at a time."""
    served = store.served().select("user_id", "items", arrived_at="served_at")
    theirs = store.merges().owned(served).join(numbered.lazy(), "user_id").drop("user_id")
    count = collected(theirs.select(pl.len())).item()
    pieces = -(-count // PART_LISTS)
    for piece in range(pieces):
        lists = collected(theirs.filter(pl.col("user") % pieces == piece)).with_row_index("list")
        told = lists.explode("items").drop_nulls("items")
        at_ms = pl.col("arrived_at").dt.epoch("ms")
        yield told.select("list", "user", item=item_hashes(told["items"]), at_ms=at_ms)


def _touched(lists: pl.DataFrame, acts: pl.DataFrame) -> pl.DataFrame:
    """Return the items of lists that were acted on in time, as of the first of these acts."""
    acted = lists.sort("at_ms").join_asof(
        acts.with_columns(acted_ms="at_ms"),
        on="at_ms",
        by=["user", "item"],
        strategy="forward",
        tolerance=ACTED_WITHIN_MS,
        check_sortedness=False,
    )
    first = acted.drop_nulls("acted_ms").group_by("list").agg(pl.col("acted_ms").min())
    return lists.join(first, "list").select("user", "item", at_ms="acted_ms")
