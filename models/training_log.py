"""What shoppers did, without impressions, read from a store a part of the shoppers at a time."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from features.eventlog import NO_RECORDS, EventLog
from features.offline.parts import Part
from features.offline.store import OfflineStore
from models.arrays import Array
from models.dataset import actions
from models.stages import Arrays, Stages

PART_EVENTS = 2_000_000
"""Events of a part: what is held of them as text, once, is the most that reading takes."""


Read = Callable[[int], Arrays]
"""Returns what part number n holds."""

Reader = Callable[[OfflineStore, Sequence[Part]], AbstractContextManager[Read]]
"""Gives what reads parts of a store for as long as it is needed."""


@contextmanager
def read_here(store: OfflineStore, parts: Sequence[Part]) -> Iterator[Read]:
    """Give what reads one part after the other, in this process."""
    yield lambda number: part_arrays(store, parts[number])


def training_log(store: OfflineStore, stages: Stages, reader: Reader = read_here) -> EventLog:
    """Return all that is learnt from, shoppers sorted by id and their events by time."""
    parts = store.parts(size=PART_EVENTS)
    with reader(store, parts) as read:
        numbered = [(f"read-{number:04d}", partial(read, number)) for number in range(len(parts))]
        told_of_parts = [stages.arrays(*each) for each in numbered]
    told = stages.arrays("log", lambda: _joined(told_of_parts))
    return EventLog(
        tuple(_value(told["user_ids"])),
        told["offsets"],
        told["records"],
        _value(told["profiles"]),
    )


def part_arrays(store: OfflineStore, part: Part) -> Arrays:
    """Return what the shoppers of a part did, as arrays of which a log is joined."""
    kept = actions(store.event_log(part=part))
    return {
        "user_ids": _text(list(kept.user_ids)),
        "offsets": kept.offsets,
        "records": kept.records,
        "profiles": _text(kept.profiles),
    }


def _joined(parts: list[Arrays]) -> Arrays:
    sizes = [np.diff(each["offsets"]) for each in parts]
    profiles: dict[str, Mapping[str, object]] = {}
    for each in parts:
        profiles |= _value(each["profiles"])
    return {
        "user_ids": _text([user for each in parts for user in _value(each["user_ids"])]),
        "offsets": np.cumsum(np.concatenate((np.zeros(1, np.int64), *sizes)), dtype=np.int64),
        "records": np.concatenate([NO_RECORDS, *(each["records"] for each in parts)]),
        "profiles": _text(profiles),
    }


def _text(told: object) -> npt.NDArray[np.uint8]:
    """Return JSON as bytes in an array."""
    return np.frombuffer(json.dumps(told).encode(), np.uint8)


def _value(text: Array) -> Any:  # noqa: ANN401 - JSON may be anything
    return json.loads(text.tobytes())
