"""A ranked list as it lies in the cache: what it was true for, then the items of the answer.

    layout    uint8
    model     uint64  `stable_hash` of the model's version
    revision  12 bytes, the shopper's state
    segment   uint16  the shopper's segment in that model

The bucket is part of the key. An answer is true while the model and the state are the same.
"""

import struct
from functools import lru_cache
from typing import NamedTuple

from features.ids import stable_hash

_HEAD = struct.Struct("<BQ12sH")
_LAYOUT = 2
_hash_of = lru_cache(1_024)(stable_hash)


class CachedAnswer(NamedTuple):
    """`items` are those of the answer, `segment` a row of the model's segments."""

    items: bytes
    segment: int


def encode_cached(answer: CachedAnswer, version: str, revision: bytes) -> bytes:
    """Return the bytes to cache for an answer by model `version` at state `revision`."""
    return _HEAD.pack(_LAYOUT, _hash_of(version), revision, answer.segment) + answer.items


def decode_cached(value: bytes, version: str, revision: bytes) -> CachedAnswer | None:
    """Return the answer, or None if it was made for another model or state."""
    if len(value) <= _HEAD.size:
        return None
    layout, model, state, segment = _HEAD.unpack_from(value)
    if layout != _LAYOUT or model != _hash_of(version) or state != revision:
        return None
    return CachedAnswer(value[_HEAD.size :], segment)
