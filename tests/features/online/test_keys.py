"""Keys of the online store: one slot a shopper, and nobody else's."""

from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from features.online import keys

IDS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128),
    st.text("{}:uabr", min_size=1, max_size=12),
)
BUCKETS = st.one_of(st.text(max_size=20), st.text("{}:uabr", max_size=12))


def all_keys(user_id: str, bucket: str) -> list[bytes]:
    """Return every key of one shopper."""
    return [
        *keys.read_keys(user_id, bucket),
        keys.forgotten_key(user_id),
        keys.buckets_key(user_id),
    ]


@given(IDS, BUCKETS)
def test_all_keys_of_a_shopper_are_in_one_slot(user_id: str, bucket: str) -> None:
    """Whatever the id, a cluster keeps all of a shopper's keys together."""
    assert len({key_slot(key) for key in all_keys(user_id, bucket)}) == 1


@given(IDS, BUCKETS, IDS, BUCKETS)
def test_no_two_shoppers_share_a_key(one: str, bucket: str, other: str, bucket2: str) -> None:
    """Ids and buckets made of braces and colons cannot be mistaken for one another."""
    if one != other:
        assert not set(all_keys(one, bucket)) & set(all_keys(other, bucket2))


@given(IDS, BUCKETS)
def test_a_read_asks_for_the_keys_that_are_written(user_id: str, bucket: str) -> None:
    """The keys of a read are those of the rings, the profile and the answer."""
    assert keys.read_keys(user_id, bucket) == (
        keys.recent_key(user_id),
        keys.history_key(user_id),
        keys.profile_key(user_id),
        keys.answer_key(user_id, bucket),
    )


def test_the_stream_and_its_ids_are_in_one_slot() -> None:
    """One script may touch the stream and both windows of ids, which differ."""
    now, before = keys.seen_keys(1_000_000.0)

    assert key_slot(now) == key_slot(before) == key_slot(keys.STREAM)
    assert keys.seen_keys(1_000_000.0 + keys.SEEN_WINDOW_S)[1] == now != before
