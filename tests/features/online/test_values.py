"""The online store's values: believed only by those they belong to."""

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.eventlog import NO_RECORDS
from features.events import RECORD
from features.online.values import (
    HEADER,
    VERSION,
    decode_answer,
    decode_profile,
    decode_ring,
    encode_answer,
    held_records,
)
from features.turns import with_turns
from tests.support.behaviour import as_records

OWNER = 2**64 - 3


def value(body: bytes, *, owner: int = OWNER, revision: int = 7, version: int = VERSION) -> bytes:
    """Return a value as the scripts write it."""
    return HEADER.pack(version, revision, owner) + body


def test_the_header_is_that_of_the_scripts() -> None:
    """One byte of version, three of padding, revision, owner: 16 bytes, little-endian."""
    assert value(b"") == bytes([VERSION, 0, 0, 0, 7, 0, 0, 0, 0xFD]) + b"\xff" * 7


def test_a_ring_is_read_without_turns() -> None:
    """Records are at most the cap, and nobody's to change; what carries them has the turns."""
    records = as_records([(n, 1, 2, 1) for n in range(9)])
    held = with_turns(records, np.arange(9, dtype=np.uint16) * 111)
    stored = value(held.tobytes())

    ring = decode_ring(stored, OWNER, 4)

    assert ring is not None
    assert ring.revision == 7
    assert ring.records.tolist() == records[-4:].tolist()
    assert not ring.records.flags.writeable
    assert held_records(stored, OWNER, 4).tolist() == held[-4:].tolist()
    assert decode_ring(value(b""), OWNER, 4) is not None
    assert NO_RECORDS.dtype == RECORD


def test_a_ring_from_before_turns_is_read() -> None:
    """All of its events have the first."""
    records = as_records([(n, 1, 2, 1) for n in range(9)])
    ring = decode_ring(value(records.tobytes()), OWNER, 9)
    assert ring is not None
    assert ring.records.tolist() == records.tolist()


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        value(b"")[:-1],
        value(bytes(24), owner=OWNER - 1),
        value(bytes(24), version=VERSION + 1),
        value(bytes(23)),
    ],
)
def test_a_strange_ring_is_not_believed(stored: bytes) -> None:
    """Another's, another layout's, or of an odd length."""
    assert decode_ring(stored, OWNER, 4) is None


def test_a_profile_is_an_object() -> None:
    """Fields and revision come back; anything but an object is not believed."""
    stored = decode_profile(value(orjson.dumps({"age": 40})), OWNER)

    assert stored is not None
    assert (stored.fields, stored.revision) == ({"age": 40}, 7)
    for body in (b"", b"[1]", b"{", b"\xff"):
        assert decode_profile(value(body), OWNER) is None
    assert decode_profile(value(b"{}", owner=1), OWNER) is None


@given(st.binary(), st.integers(0, 2**64 - 1), st.binary(max_size=20))
def test_an_answer_comes_back_to_its_owner_and_bucket(
    answer: bytes, owner: int, bucket: bytes
) -> None:
    """Any bytes survive; under another owner or bucket there is no answer."""
    stored = encode_answer(answer, owner, bucket)

    assert decode_answer(stored, owner, bucket) == answer
    assert decode_answer(stored, owner ^ 1, bucket) is None
    assert decode_answer(stored, owner, bucket + b"x") is None
    assert decode_answer(stored[: HEADER.size - 1], owner, bucket) is None


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_never_a_mistake(stored: bytes) -> None:
    """Whatever lies under a key is decoded or not believed, but never raises."""
    decode_ring(stored, OWNER, 4)
    decode_profile(stored, OWNER)
    decode_answer(stored, OWNER, b"b")
