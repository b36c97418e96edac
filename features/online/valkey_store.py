"""The online store in Valkey or Redis: one round trip to read, two to append.

    read    ─ MGET of four keys a shopper ─────────────────────────────── answers, checked
    append  ─ stream, ids seen (one script) ─ stamps ─ rings (a script a shopper) ─ visible

The stamp is the stream's, so the rings need it before they can be written: an append takes two
round trips. Should the process die between them, consumers of group `online` enter the events
into the rings from the stream, and find nothing to do otherwise.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

import numpy as np
import orjson
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ResponseError

from features.errors import InputError, StoreError
from features.events import RECORD, Event, pack_event
from features.ids import stable_hash
from features.online import keys
from features.online.pipeline import Pipeline
from features.online.reading import chosen, decoded, fetched, others
from features.online.rings import Rings
from features.online.store import Appended, KeptAnswer, ShopperQuery, ShopperRead
from features.online.stream_entries import FORGET, MERGE, Merge, encode_event, stamp_of
from features.online.valkey_client import (
    Call,
    Client,
    Script,
    call,
    chunks,
    connect,
    connect_commands,
    translate,
    translated,
)
from features.online.values import LAYOUT, encode_answer, owner_of
from features.turns import TURNS

RING_TTL_S = 400 * 86_400
"""How long a shopper who does nothing is remembered online."""

STREAM_LIMIT = 1_000_000
"""Entries the stream may hold unread; beyond, `append` raises `StoreFullError`."""

WRITE_CONNECTIONS = 16
READ_CONNECTIONS = 16
"""Where redis-py reads."""


class ValkeyStore:
    """An `OnlineStore` over one url. Reads and writes have connections of their own.

    What the request path reads and caches goes through a `Pipeline`, the rest through redis-py.

    Make one per event loop and `close` it. Whatever goes wrong is a `StoreError`.
    """

    def __init__(
        self,
        url: str,
        *,
        write_connections: int = WRITE_CONNECTIONS,
        ring_ttl_s: int = RING_TTL_S,
        stream_limit: int = STREAM_LIMIT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raise `InputError` where `url` is none; connect at the first command.

        `clock` only chooses the window in which event ids are remembered.
        """
        self._writes = connect(url, connections=write_connections)
        self._reads = connect_commands(url, connections=READ_CONNECTIONS)
        self._ring_ttl_s = ring_ttl_s
        self._stream_limit = stream_limit
        self._clock = clock
        self._append = Script("append")
        self._put_answers = Script("put_answers")
        self._put_profile = Script("put_profile")
        self.rings = Rings(self._writes, ring_ttl_s)

    async def read(self, queries: Sequence[ShopperQuery]) -> list[ShopperRead]:
        """Return one `ShopperRead` per query, in order, in a single round trip.

        Values that are not the shopper's, or not of this layout, count as absent and are
        told in `disbelieved`.
        """
        if not queries:
            return []
        beside = others(queries)
        asked = [*queries, *beside.values()] if beside else queries
        try:
            values = await fetched(self._reads, asked)
            reads = [decoded(query, *four) for query, four in zip(asked, values, strict=True)]
            return chosen(reads, beside) if beside else reads
        except ResponseError as error:  # a refusal, in its place among the answers
            raise translate(error) from error
        except Exception as error:  # see `translated`
            if isinstance(self._reads, Pipeline):
                self._reads.reset()  # whose answer comes next cannot be known
            raise error if isinstance(error, StoreError) else translate(error) from error

    async def put_answers(self, answers: Sequence[KeptAnswer]) -> None:
        """Keep answers under their shoppers and buckets; one that cannot be spoils no other.

        All in one call, in a cluster in one for each: shoppers stand in slots of their own.
        """
        several = isinstance(self._reads, RedisCluster)
        batches = [[each] for each in answers] if several else [answers]
        async with translated():
            await asyncio.gather(
                *(self._put_answers.once(self._reads, _to_keep(each)) for each in batches)
            )

    async def append(self, events: Sequence[Event]) -> Appended:
        """Take events durably and make them visible to the next read; idempotent by event id.

        Of events with one id the first counts. Raises `StoreFullError` where consumers are so
        far behind that the stream is at its limit.
        """
        stamps = await self._append_to_stream(events)
        records: dict[str, list[bytes]] = {}
        for event, stamp in zip(events, stamps, strict=True):
            if stamp:
                packed = pack_event(event, *divmod(stamp, TURNS))
                records.setdefault(event.user_id, []).append(packed)
        await self.rings.apply(
            (user_id, np.frombuffer(b"".join(some), RECORD)) for user_id, some in records.items()
        )
        accepted = sum(1 for stamp in stamps if stamp)
        return Appended(accepted, len(events) - accepted)

    async def put_profiles(
        self,
        profiles: Mapping[str, Mapping[str, Any]],
        heeded_ms: Mapping[str, int] = MappingProxyType({}),
    ) -> int:
        """Keep what is known of each shopper beside events; returns how many changed.

        Who was forgotten of late gets none, unless it heeds that: `heeded_ms` tells up to which
        stamp the owners of some profiles had been forgotten, and are back since.
        """
        changed = 0
        for chunk in chunks(profiles.items()):
            calls = [
                self._profile(user_id, profile, heeded_ms.get(user_id, -1))
                for user_id, profile in chunk
            ]
            changed += sum(await self._put_profile.run(self._writes, calls))
        return changed

    async def forget(self, user_id: str) -> int:
        """Remove rings, profile and cached answers, and tell all consumers to do so.

        Returns the stamp up to which the shopper is forgotten.
        """
        async with translated():
            tombstone = {FORGET: user_id.encode()}
            entry_id = await self._writes.xadd(keys.STREAM, tombstone)  # type: ignore[arg-type]
            stamp = stamp_of(entry_id)
        await self.rings.forget_until(user_id, stamp)
        return stamp

    async def merge(self, source: str, into: str) -> int:
        """Make the history of `source` that of `into`; return how many events kept online it had.

        All consumers are told to do so.
        """
        async with translated():
            told = {MERGE: Merge(source, into).encode()}
            entry_id = await self._writes.xadd(keys.STREAM, told)  # type: ignore[arg-type]
            stamp = stamp_of(entry_id)
        return await self.rings.merge_until(Merge(source, into), stamp)

    async def ping(self) -> None:
        """Return if the store answers."""
        async with translated():
            await self._reads.execute_command("PING")

    async def close(self) -> None:
        """Release connections."""
        async with translated():
            await self._reads.aclose()
            await self._writes.aclose()

    @property
    def client(self) -> Client:
        """Return the client for writes, for what consumers do with the stream."""
        return self._writes

    async def _append_to_stream(self, events: Sequence[Event]) -> list[int]:
        """Return the stamps of events in microseconds, 0 of those that were there before."""
        where = (keys.STREAM, *keys.seen_keys(self._clock()))
        calls = []
        for chunk in chunks(events):
            told = [part for event in chunk for part in (_digest(event), encode_event(event))]
            calls.append(call(where, self._stream_limit, 2 * keys.SEEN_WINDOW_S, *told))
        answers = await self._append.run(self._writes, calls)
        stamps = [stamp for answer in answers if isinstance(answer, list) for stamp in answer]
        if len(stamps) != len(events):
            raise StoreError(f"online store: expected {len(events)} stamps, got {answers!r:.80}")
        return stamps

    def _profile(self, user_id: str, profile: Mapping[str, Any], heeded_ms: int) -> Call:
        try:
            packed = orjson.dumps(dict(profile), option=orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError as error:
            raise InputError(f"profile of {user_id!r:.80}: {error}") from error
        where = (keys.profile_key(user_id), keys.forgotten_key(user_id))
        return call(where, LAYOUT, owner_of(user_id), self._ring_ttl_s, packed, heeded_ms)


def _to_keep(answers: Sequence[KeptAnswer]) -> Call:
    where: list[bytes] = []
    told: list[bytes | int] = []
    for (user_id, asked, _), answer, ttl_s in answers:
        bucket = keys.bucket_name(asked)
        value = encode_answer(answer, stable_hash(user_id), bucket)
        where += (keys.answer_key(user_id, asked), keys.buckets_key(user_id))
        told += (value, max(1, round(ttl_s * 1000)), bucket)
    return call(where, *told)


def _digest(event: Event) -> bytes:
    return blake2b(event.event_id.encode(), digest_size=16).digest()
