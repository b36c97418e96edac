"""Events that say something else than what their id stands for already.

An event never changes: a second one of the same id is a repetition if it says the same, and is
dropped; if it says something else one of the two is wrong.
"""

from features.offline.said import hashed, joined
from features.offline.staged import ROW, StagedBatch
from features.offline.store import OfflineStore
from features.offline.translated import collected
from features.quality.refusals import Refusal

_AS_TAKEN = (
    "this id stands for an event that says something else: events never change; "
    "leave the row out, or give it an id of its own"
)


def drop_conflicts(batch: StagedBatch, store: OfflineStore, file: str, most: int) -> list[Refusal]:
    """Drop staged events that differ from an earlier one, or one of the tables; return `most`.

    Memory holds 16 bytes for each event of the batch.
    """
    events = batch.tables().get("events")
    if events is None:
        return []
    told = hashed(events)
    batch.known = store.known(told.ids)
    said = batch.known.said
    differ = joined([said, told]).differing()[len(said) :]
    if not differ.any():
        return []
    rows = events.select(ROW, "event_id").pipe(collected).filter(differ)
    batch.drop("events", rows[ROW])
    return [Refusal(file, row, "event_id", value, _AS_TAKEN) for row, value in rows[:most].rows()]
