"""The online store's keys: all of one shopper in one hash slot, all of the stream in another.

    {u:ID}:r   recent ring          {u:ID}:p   profile
    {u:ID}:h   history ring         {u:ID}:f   when the shopper was forgotten, for a while
    {u:ID}:a:BUCKET  cached answer  {u:ID}:b   buckets that hold an answer
    {u:ID}:m  into whom the shopper was merged and when, and
    {u:ID}:d  which of that was done to the end, for a while

Ids may hold braces: a cluster hashes what stands up to the first `}`, which is the same for
all keys of a shopper. No two shoppers share a key, because what follows the last `}` never
holds one: a bucket that does is kept under its hash.
"""

from features.ids import stable_hash

STREAM = b"{events}:stream"
"""The durable stream of events and tombstones."""

DEAD_LETTERS = b"{events}:dead"
"""Entries that no consumer could use, with the reason."""

MATERIALIZED = b"{events}:materialized"
"""The offline version that was loaded last."""

MATERIALIZING = b"{events}:materializing"
"""The one that is being loaded, and how far."""

SEEN_WINDOW_S = 6 * 3_600
"""Event ids are remembered for one to two of these windows."""


def shopper_prefix(user_id: str) -> bytes:
    """Return what all keys of the shopper begin with."""
    return b"{u:%b}:" % user_id.encode("utf-8", "surrogatepass")


def recent_key(user_id: str) -> bytes:
    """Return the key of the recent ring."""
    return shopper_prefix(user_id) + b"r"


def history_key(user_id: str) -> bytes:
    """Return the key of the history ring."""
    return shopper_prefix(user_id) + b"h"


def profile_key(user_id: str) -> bytes:
    """Return the key of the profile."""
    return shopper_prefix(user_id) + b"p"


def forgotten_key(user_id: str) -> bytes:
    """Return the key that says up to which stamp the shopper was forgotten."""
    return shopper_prefix(user_id) + b"f"


def merges_key(user_id: str) -> bytes:
    """Return the key of the shoppers into whom this one was merged, by stamp."""
    return shopper_prefix(user_id) + b"m"


def buckets_key(user_id: str) -> bytes:
    """Return the key of the buckets under which answers lie."""
    return shopper_prefix(user_id) + b"b"


def bucket_name(bucket: str) -> bytes:
    """Return the bucket as it stands in a key."""
    name = bucket.encode("utf-8", "surrogatepass")
    return b"#%016x" % stable_hash(bucket) if b"}" in name else name


def answer_key(user_id: str, bucket: str) -> bytes:
    """Return the key of the answer cached under `bucket`."""
    return shopper_prefix(user_id) + b"a:" + bucket_name(bucket)


def read_keys(user_id: str, bucket: str) -> tuple[bytes, bytes, bytes, bytes]:
    """Return the keys of one read: recent ring, history ring, profile, cached answer."""
    prefix = shopper_prefix(user_id)
    return prefix + b"r", prefix + b"h", prefix + b"p", prefix + b"a:" + bucket_name(bucket)


def seen_keys(now_s: float) -> tuple[bytes, bytes]:
    """Return the keys of the event ids seen in this window and in the one before."""
    window = int(now_s // SEEN_WINDOW_S)
    return b"{events}:seen:%d" % window, b"{events}:seen:%d" % (window - 1)
