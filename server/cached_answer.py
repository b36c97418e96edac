"""A ranked list as it lies in the cache: what it was true for, then the items of the answer.

    model     uint64  `stable_hash` of this layout's number and of what the list is true for
    revision  12 bytes, the shopper's state
    segment   uint16  the shopper's segment in that model
    chances   uint16  how many propensities stand before the items, float32 each
    blocked   uint16  how many hashes stand before those, uint64 each: what must not be shown

The bucket is part of the key. An answer is true while the model and the state are the same. What
must not be shown is told beside it for whoever answers from here and never saw the shopper.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from features.ids import NO_HASHES, Hashes, stable_hash

_HEAD = struct.Struct("<Q12sHHH")
_FLOAT = 4
_HASH = 8
_LAYOUT = 4
"""Programs of two layouts may share a store: neither believes what the other wrote."""


@lru_cache(1_024)
def _hash_of(version: str) -> int:
    return stable_hash(f"{_LAYOUT} {version}")


class CachedAnswer(NamedTuple):
    """`items` are those of the answer, `segment` a row of the model's segments.

    `propensities` are those of the items, none where nothing was left to chance, `blocked` the
    hashes that the shopper's history forbids.
    """

    items: bytes
    segment: int
    propensities: Sequence[float] = ()
    blocked: Hashes = NO_HASHES


def encode_cached(answer: CachedAnswer, version: str, revision: bytes) -> bytes:
    """Return the bytes to cache for an answer by model `version` at state `revision`.

    `version` is the model's with what else its lists are true for, see `Model.stamp`.
    """
    chances, blocked = answer.propensities, answer.blocked
    counts = len(chances), len(blocked)
    head = _HEAD.pack(_hash_of(version), revision, answer.segment, *counts) + blocked.tobytes()
    if chances:
        head += struct.pack(f"<{len(chances)}f", *chances)
    return head + answer.items


def decode_cached(value: bytes, version: str, revision: bytes) -> CachedAnswer | None:
    """Return the answer, or None if it was made for another model or state."""
    if len(value) <= _HEAD.size:
        return None
    model, state, segment, count, hidden = _HEAD.unpack_from(value)
    if model != _hash_of(version) or state != revision:
        return None
    begin = _HEAD.size + _HASH * hidden
    end = begin + _FLOAT * count
    if len(value) <= end:
        return None
    blocked = np.frombuffer(value, "<u8", hidden, _HEAD.size) if hidden else NO_HASHES
    chances = struct.unpack_from(f"<{count}f", value, begin) if count else ()
    return CachedAnswer(value[end:], segment, chances, blocked)
