"""What is known of shoppers, fetched in one round trip and taken apart: four values a shopper."""

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Any

from redis.asyncio.cluster import RedisCluster

from features.errors import StoreError
from features.history import HISTORY_CAP, RECENT_CAP
from features.ids import stable_hash
from features.online import keys
from features.online.store import NO_PROFILE, STRANGER, ShopperQuery, ShopperRead, ShopperState
from features.online.valkey_client import Commands
from features.online.values import Ring, StoredProfile, decode_answer, decode_profile, decode_ring

_REVISION = Struct("<3I")
_NOTHING = (None, None, None, None)


async def fetched(client: Commands, queries: Sequence[ShopperQuery]) -> list[list[Any]]:
    """Return the four values of each query: rings, profile and answer, as `decoded` takes them."""
    if isinstance(client, RedisCluster):
        return await _fetched_by_slot(client, queries)
    wanted = [key for query in queries for key in keys.read_keys(query.user_id, query.bucket)]
    values = await client.execute_command("MGET", *wanted)
    if not isinstance(values, list) or len(values) != len(wanted):
        raise StoreError(f"online store: expected {len(wanted)} values, got {values!r:.80}")
    return [values[at : at + 4] for at in range(0, len(values), 4)]


async def _fetched_by_slot(
    client: RedisCluster, queries: Sequence[ShopperQuery]
) -> list[list[Any]]:
    """Fetch each shopper's values with a command of one slot, one round trip a node."""
    pipeline = client.pipeline(transaction=False)
    for query in queries:
        pipeline.execute_command("MGET", *keys.read_keys(query.user_id, query.bucket))
    return list(await pipeline.execute())


def others(queries: Sequence[ShopperQuery]) -> dict[int, ShopperQuery]:
    """Return whom to read beside the shopper of each query (its number) that names another."""
    return {
        number: ShopperQuery(query.otherwise, query.bucket)
        for number, query in enumerate(queries)
        if query.otherwise is not None
    }


def chosen(reads: list[ShopperRead], beside: Mapping[int, ShopperQuery]) -> list[ShopperRead]:
    """Return the reads of queries, behind which stand those of `others`, in their place."""
    count = len(reads) - len(beside)
    told = reads[:count]
    for (number, query), other in zip(beside.items(), reads[count:], strict=True):
        first = told[number]
        disbelieved = first.disbelieved + other.disbelieved
        if first.state.known or not other.state.known:
            told[number] = first._replace(disbelieved=disbelieved)
        else:
            told[number] = other._replace(disbelieved=disbelieved, instead=query)
    return told


def decoded(
    query: ShopperQuery,
    recent_value: bytes | None,
    history_value: bytes | None,
    profile_value: bytes | None,
    answer_value: bytes | None,
) -> ShopperRead:
    """Return what four values say of the shopper; those that are not theirs count as absent."""
    values = (recent_value, history_value, profile_value, answer_value)
    if values == _NOTHING:
        return ShopperRead(STRANGER, None)
    owner = stable_hash(query.user_id)
    recent = recent_value and decode_ring(recent_value, owner, RECENT_CAP)
    history = history_value and decode_ring(history_value, owner, HISTORY_CAP)
    profile = profile_value and decode_profile(profile_value, owner)
    answer = answer_value and decode_answer(answer_value, owner, keys.bucket_name(query.bucket))
    disbelieved = (recent, history, profile, answer).count(None) - values.count(None)
    return ShopperRead(
        _state(recent or None, history or None, profile or None), answer, disbelieved
    )


def _state(
    recent: Ring | None, history: Ring | None, profile: StoredProfile | None
) -> ShopperState:
    if recent is None and history is None and profile is None:
        return STRANGER
    return ShopperState(
        profile=profile.fields if profile else NO_PROFILE,
        recent_ring=recent,
        history_ring=history,
        revision=_REVISION.pack(
            recent.revision if recent else 0,
            history.revision if history else 0,
            profile.revision if profile else 0,
        ),
    )
