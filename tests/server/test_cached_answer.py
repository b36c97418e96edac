"""A cached answer is believed only for the model and state it was made for."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.ids import Hashes, stable_hash
from server.cached_answer import CachedAnswer, decode_cached, encode_cached

TEXT = st.text(max_size=40)
REVISION = st.binary(min_size=12, max_size=12)


CHANCES = st.lists(st.floats(0, 1, width=32), max_size=100).map(tuple)
BLOCKED = st.lists(st.integers(0, 2**64 - 1), max_size=100).map(
    lambda told: np.array(told, np.uint64)
)
ANSWERS = st.builds(CachedAnswer, st.binary(min_size=1), st.integers(0, 65_535), CHANCES, BLOCKED)


@given(ANSWERS, TEXT, REVISION)
def test_round_trip(answer: CachedAnswer, version: str, revision: bytes) -> None:
    """What was cached comes back for the same model and state."""
    told = decode_cached(encode_cached(answer, version, revision), version, revision)
    assert told is not None
    assert told[:3] == answer[:3]
    assert told.blocked.tolist() == answer.blocked.tolist()


@given(TEXT, REVISION, TEXT, REVISION)
def test_another_model_or_state_is_not_believed(
    version: str, revision: bytes, other_version: str, other_revision: bytes
) -> None:
    """A list made for one state is never shown for another."""
    value = encode_cached(CachedAnswer(b"[]", 0), version, revision)
    believed = decode_cached(value, other_version, other_revision) is not None
    assert believed == ((version, revision) == (other_version, other_revision))


@given(CHANCES, BLOCKED, st.integers(0, 1_500))
def test_what_was_cut_is_not_believed(
    chances: tuple[float, ...], blocked: Hashes, length: int
) -> None:
    """Without its items it is no answer, and no error."""
    value = encode_cached(CachedAnswer(b"[]", 0, chances, blocked), "v", bytes(12))
    cut = min(length, len(value) - 2)
    assert decode_cached(value[:cut], "v", bytes(12)) is None


@given(st.binary(max_size=24))
def test_too_short_a_value_is_not_believed(value: bytes) -> None:
    """A cut value is no answer, and no error."""
    assert decode_cached(value, "v", bytes(12)) is None


@pytest.mark.parametrize(
    "head",
    [
        struct.pack("<Q12sH", stable_hash("v"), bytes(12), 0),
        struct.pack("<Q12sHH", stable_hash("2 v"), bytes(12), 0, 0),
        struct.pack("<Q12sHH", stable_hash("3 v"), bytes(12), 0, 0),
        struct.pack("<BQ12sH", 2, stable_hash("v"), bytes(12), 0),
        struct.pack("<BQ12sHH", 3, stable_hash("v"), bytes(12), 0, 0),
    ],
)
def test_other_layouts_are_not_believed(head: bytes) -> None:
    """Values of other programs that share the store: without cursor, propensities or hashes."""
    assert decode_cached(head + b'[{"item_id":"a"}]', "v", bytes(12)) is None
