"""Events that say something else than what their id stands for already.

An event never changes: a second one of the same id is a repetition if it says the same, and is
dropped; if it says something else one of the two is wrong.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from features.offline import OfflineStore, collected
from features.refusals import Refusal
from features.staged import ROW, StagedBatch

_SAID = ("type", "user_id", "item_id", "timestamp", "value")
_AS_TAKEN = "this id stands for an event that says something else: events never change"

Hashes = npt.NDArray[np.uint64]


def conflicts(batch: StagedBatch, store: OfflineStore, file: str, most: int) -> list[Refusal]:
    """Return up to `most` staged events that differ from an earlier one, or one of the tables.

    Memory holds 16 bytes for each event of the batch and of the table.
    """
    events = batch.tables().get("events")
    if events is None:
        return []
    ids, said = _hashed(events)
    known_ids, known_said = _hashed(store.scan("events"))
    first = _first(np.concatenate((known_ids, ids)), np.concatenate((known_said, said)))
    places = np.flatnonzero(first[len(known_ids) :] != said)[:most]
    if not len(places):
        return []
    rows = events.select(ROW, "event_id").pipe(collected)[places]
    return [Refusal(file, row, "event_id", value, _AS_TAKEN) for row, value in rows.rows()]


def _hashed(events: pl.LazyFrame) -> tuple[Hashes, Hashes]:
    """Return hashes of the events' ids, and of what they say."""
    asked = events.select(id=pl.col("event_id").hash(), said=pl.struct(_SAID).hash())
    told = collected(asked)
    return told["id"].to_numpy(), told["said"].to_numpy()


def _first(ids: Hashes, said: Hashes) -> Hashes:
    """Return for each event what the first of its id said."""
    _, begins, groups = np.unique(ids, return_index=True, return_inverse=True)
    return said[begins][groups]
