"""The turn of an event: its place among those that arrived within its millisecond.

The stream tells it. The tables hold it as the microseconds of `arrived_at`, rings in the upper 16
bits of `ts`, where it is 0 in those written before there were turns. Whoever computes with records
has them in the order of (stamp, turn, tag), and a `ts` that is a stamp and nothing else.
"""

import numpy as np
import numpy.typing as npt

from features.events import RECORD, TURN_AT, Records

TURNS = 1_000
"""Of a millisecond; whatever comes after them has the last."""

_STAMP = (1 << TURN_AT) - 1

Turns = npt.NDArray[np.uint16]


def with_turns(records: Records, turns: Turns) -> Records:
    """Return the records as rings hold them."""
    told = records.copy()
    told["ts"] |= turns.astype(np.int64) << TURN_AT
    return told


def without_turns(held: bytes, begin: int) -> Records:
    """Return the records that a ring holds from a byte on, to compute with: in 2 µs."""
    told, each = bytearray(held), RECORD.itemsize
    count = (len(held) - begin) // each
    if count:
        np.ndarray(count, "<u2", told, begin + TURN_AT // 8, each).fill(0)
    return np.frombuffer(memoryview(told).toreadonly(), RECORD, count, begin)


def stamps(records: Records) -> npt.NDArray[np.int64]:
    """Return the stamps of records that rings hold, in milliseconds."""
    told: npt.NDArray[np.int64] = records["ts"] & _STAMP
    return told


def in_order(records: Records) -> Records:
    """Return records that rings hold sorted by (stamp, turn, tag)."""
    ts = records["ts"]
    return records[np.lexsort((records["tag"], ts >> TURN_AT, ts & _STAMP))]
