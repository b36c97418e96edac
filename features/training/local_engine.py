"""A training set's features on this machine, a part of its shoppers at a time.

Memory holds one chunk of labels and the events of one part; the tables may be larger than it.
"""

import math
from collections.abc import Generator

from features.identity.merges import KEY
from features.offline.kept_events import KEPT_COLUMNS, USER_ID
from features.offline.parts import PART_EVENTS
from features.offline.store import OfflineStore
from features.offline.tables import CHANGES
from features.training.chunk import Chunk
from features.training.labels import Labels
from features.training.part import Tables, pairs_of, part_of


def local_chunks(store: OfflineStore, labels: Labels, rows: int) -> Generator[Chunk]:
    """Yield the features of `labels`, some `rows` of them after the other."""
    merges = store.merges(labels.shoppers())
    pairs = pairs_of(labels, merges)
    parts = max(math.ceil(store.count("events") / PART_EVENTS), 1)
    events = merges.expanded(store.scan("events").select(KEPT_COLUMNS), pairs[KEY])
    tables = Tables(events, store.scan("users"), store.scan(CHANGES))
    for start in range(0, len(pairs), rows):
        some = pairs.slice(start, rows)
        chunk = Chunk.empty(start, len(some))
        part = some[USER_ID].hash() % parts
        for number in range(parts):
            for block in part_of(some.filter(part == number), tables):
                chunk.put(block)
        yield chunk
