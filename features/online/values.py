"""The online store's values: 16 bytes that say whose they are, then packed records or JSON.

    version   uint8   of this layout, then 3 bytes of padding
    revision  uint32  changes whenever the value does; an answer has its bucket's CRC here
    owner     uint64  `stable_hash(user_id)`

A value of another layout or owner is not believed: `decode_*` returns None and the reader
counts it. What is read is thus never another shopper's, whatever went wrong on the way.
"""

import struct
from collections.abc import Mapping
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import orjson

from features.eventlog import NO_RECORDS
from features.events import RECORD, Records
from features.ids import stable_hash
from features.turns import without_turns

VERSION = 1
"""The layout written now. Raise it when `RECORD` or the header changes."""

HEADER = struct.Struct("<B3xIQ")

LAYOUT = bytes([VERSION])
"""The version as scripts write it."""


class Ring(NamedTuple):
    """A ring as it was read, and its revision; what `held` holds is believed."""

    held: bytes
    cap: int
    revision: int

    @property
    def records(self) -> Records:
        """Return the latest `cap` records, time-sorted: taken apart here, where they are needed.

        A list that was cached needs none.
        """
        records = without_turns(self.held, HEADER.size)
        return records if len(records) <= self.cap else records[-self.cap :]


class StoredProfile(NamedTuple):
    """A profile as it was read, and its revision."""

    fields: Mapping[str, Any]
    revision: int


def _revision(value: bytes, owner: int) -> int | None:
    if len(value) < HEADER.size:
        return None
    version, revision, holder = HEADER.unpack_from(value)
    return revision if version == VERSION and holder == owner else None


def owner_of(user_id: str) -> bytes:
    """Return the owner as scripts write it."""
    return stable_hash(user_id).to_bytes(8, "little")


def decode_ring(value: bytes, owner: int, cap: int) -> Ring | None:
    """Return the ring in `value`, or None if not believed."""
    revision = _revision(value, owner)
    if revision is None or (len(value) - HEADER.size) % RECORD.itemsize:
        return None
    return Ring(value, cap, revision)


def held_records(value: bytes, owner: int, cap: int) -> Records:
    """Return the latest `cap` records in `value` with their turns, none if not believed."""
    if _revision(value, owner) is None or (len(value) - HEADER.size) % RECORD.itemsize:
        return NO_RECORDS
    return np.frombuffer(value, RECORD, -1, HEADER.size)[-cap:]


def decode_profile(value: bytes, owner: int) -> StoredProfile | None:
    """Return the profile in `value`, or None if not believed."""
    revision = _revision(value, owner)
    if revision is None:
        return None
    try:
        fields = orjson.loads(value[HEADER.size :])
    except orjson.JSONDecodeError:
        return None
    return StoredProfile(fields, revision) if isinstance(fields, dict) else None


def encode_answer(answer: bytes, owner: int, bucket: bytes) -> bytes:
    """Return `answer` as it is cached for `owner` under `bucket`."""
    return HEADER.pack(VERSION, crc32(bucket), owner) + answer


def decode_answer(value: bytes, owner: int, bucket: bytes) -> bytes | None:
    """Return the cached answer in `value`, or None if not believed."""
    return value[HEADER.size :] if _revision(value, owner) == crc32(bucket) else None
