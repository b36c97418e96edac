"""The online store in Valkey or Redis: one round trip to read, two to append.

    read    ─ MGET of four keys a shopper ─────────────────────────────── answers, checked
    append  ─ stream, ids seen (one script) ─ stamps ─ rings (a script a shopper) ─ visible

The stamp is the stream's, so the rings need it before they can be written: an append takes two
round trips. Should the process die between them, consumers of group `online` enter the events
into the rings from the stream, and find nothing to do otherwise.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from struct import Struct
from typing import Any, NamedTuple, TypeVar

import numpy as np
import orjson
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ResponseError

from features import anonymous
from features.errors import InputError, StoreError
from features.eventlog import NO_RECORDS, rings
from features.events import RECORD, Event, Records, pack_event
from features.history import HISTORY_CAP, RECENT_CAP
from features.ids import stable_hash
from features.online import keys
from features.online.pipeline import Pipeline
from features.online.store import (
    NO_PROFILE,
    STRANGER,
    Appended,
    ShopperQuery,
    ShopperRead,
    ShopperState,
)
from features.online.stream_entries import FORGET, MERGE, Merge, encode_event, stamp_of
from features.online.valkey_client import (
    Call,
    Client,
    Commands,
    Script,
    call,
    connect,
    connect_commands,
    translate,
    translated,
)
from features.online.values import (
    VERSION,
    Ring,
    StoredProfile,
    decode_answer,
    decode_profile,
    decode_ring,
    encode_answer,
)

RING_TTL_S = 400 * 86_400
"""How long a shopper who does nothing is remembered online."""

FORGOTTEN_TTL_S = 7 * 86_400
"""How long what arrived before a shopper was forgotten is kept from coming back, and what arrived
before one was merged into another is led there."""

STREAM_LIMIT = 1_000_000
"""Entries the stream may hold unread; beyond, `append` raises `StoreFullError`."""

WRITE_CONNECTIONS = 16
READ_CONNECTIONS = 16
"""Where redis-py reads."""

_CHUNK = 256
_LAYOUT = bytes([VERSION])
_REVISION = Struct("<3I")
_NOTHING = (None, None, None, None)
T = TypeVar("T")


class Carried(NamedTuple):
    """Records on their way into the rings of a shopper.

    They became the shopper's at `since_ms`, where that was not when each of them arrived.
    """

    user_id: str
    records: Records
    since_ms: int | None = None


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
        self._scripts = _Scripts()

    async def read(self, queries: Sequence[ShopperQuery]) -> list[ShopperRead]:
        """Return one `ShopperRead` per query, in order, in a single round trip.

        Values that are not the shopper's, or not of this layout, count as absent and are
        told in `disbelieved`.
        """
        if not queries:
            return []
        others = _others(queries)
        asked = [*queries, *others.values()] if others else queries
        try:
            values = await self._fetch(asked)
            reads = [_decode(query, *four) for query, four in zip(asked, values, strict=True)]
            return _chosen(reads, others) if others else reads
        except ResponseError as error:  # a refusal, in its place among the answers
            raise translate(error) from error
        except Exception as error:  # see `translated`
            if isinstance(self._reads, Pipeline):
                self._reads.reset()  # whose answer comes next cannot be known
            raise error if isinstance(error, StoreError) else translate(error) from error

    async def put_answer(self, query: ShopperQuery, answer: bytes, ttl_s: float) -> None:
        """Keep `answer` under the shopper and bucket for `ttl_s` seconds."""
        user_id, bucket = query.user_id, keys.bucket_name(query.bucket)
        value = encode_answer(answer, stable_hash(user_id), bucket)
        where = (keys.answer_key(user_id, query.bucket), keys.buckets_key(user_id))
        arguments = call(where, value, max(1, round(ttl_s * 1000)), bucket)
        async with translated():
            await self._scripts.put_answer.once(self._reads, arguments)

    async def append(self, events: Sequence[Event]) -> Appended:
        """Take events durably and make them visible to the next read; idempotent by event id.

        Of events with one id the first counts. Raises `StoreFullError` where consumers are so
        far behind that the stream is at its limit.
        """
        stamps = await self._append_to_stream(events)
        records: dict[str, list[bytes]] = {}
        for event, stamp in zip(events, stamps, strict=True):
            if stamp:
                records.setdefault(event.user_id, []).append(pack_event(event, stamp))
        await self.apply(
            (user_id, np.frombuffer(b"".join(packed), RECORD))
            for user_id, packed in records.items()
        )
        accepted = sum(1 for stamp in stamps if stamp)
        return Appended(accepted, len(events) - accepted)

    async def apply(self, shoppers: Iterable[tuple[str, Records]]) -> int:
        """Enter records of any order into the rings of each (user id, records).

        Idempotent by tag and item: returns how many places in rings were new.
        """
        new = 0
        for chunk in _chunks(shoppers):
            calls = [each for user_id, records in chunk if (each := self._apply(user_id, records))]
            async with translated():
                for recent, history in await self._run(self._scripts.apply, calls):
                    new += recent + history
        return new

    async def put_profiles(self, profiles: Mapping[str, Mapping[str, Any]]) -> int:
        """Keep what is known of each shopper beside events; returns how many changed."""
        changed = 0
        for chunk in _chunks(profiles.items()):
            calls = [self._put_profile(user_id, profile) for user_id, profile in chunk]
            changed += sum(await self._run(self._scripts.put_profile, calls))
        return changed

    async def forget(self, user_id: str) -> int:
        """Remove rings, profile and cached answers, and tell all consumers to do so.

        Returns the stamp up to which the shopper is forgotten.
        """
        async with translated():
            tombstone = {FORGET: user_id.encode()}
            entry_id = await self._writes.xadd(keys.STREAM, tombstone)  # type: ignore[arg-type]
            stamp = stamp_of(entry_id)
        await self.forget_until(user_id, stamp)
        return stamp

    async def forget_until(self, user_id: str, stamp_ms: int) -> None:
        """Remove what arrived up to `stamp_ms`, profile and answers, and keep it from returning."""
        prefix = keys.shopper_prefix(user_id)
        where = [prefix + kind for kind in (b"r", b"h", b"p", b"f", b"b")]
        await self._run(
            self._scripts.forget, [call(where, stamp_ms, FORGOTTEN_TTL_S, prefix + b"a:")]
        )

    async def merge(self, source: str, into: str) -> int:
        """Make the history of `source` that of `into`; return how many events kept online it had.

        All consumers are told to do so.
        """
        async with translated():
            told = {MERGE: Merge(source, into).encode()}
            entry_id = await self._writes.xadd(keys.STREAM, told)  # type: ignore[arg-type]
            stamp = stamp_of(entry_id)
        return await self.merge_until(Merge(source, into), stamp)

    async def merge_until(self, merge: Merge, stamp_ms: int) -> int:
        """Bring what arrived of one shopper up to `stamp_ms` into another's rings; twice as once.

        First nothing more enters the rings of the one, then they are carried over, then they go:
        whoever dies in between leaves all of it to be done again from the stream. What came back
        by later merges stays.
        """
        prefix = keys.shopper_prefix(merge.source)
        where = [prefix + kind for kind in (b"r", b"h", b"m", b"d")]
        told = (stamp_ms, merge.into.encode(), FORGOTTEN_TTL_S)
        marking = call(where, stamp_ms, FORGOTTEN_TTL_S, merge.into.encode())
        (rings_of,) = await self._run(self._scripts.merge, [marking])
        if not rings_of:
            return 0
        records = _up_to(stamp_ms, _in_order(_rings(merge.source, *rings_of)))
        await self.carry([Carried(merge.into, records, stamp_ms)])
        gone_ms = -1 if await self._comes_back(merge, stamp_ms) else stamp_ms
        where = [prefix + kind for kind in (b"r", b"h", b"p", b"f", b"b", b"d")]
        await self._run(self._scripts.forget, [call(where, gone_ms, 0, prefix + b"a:", *told)])
        return len(records)

    async def _comes_back(self, merge: Merge, stamp_ms: int) -> bool:
        """Tell whether what is merged is the source's again, by merges after that.

        What was forgotten on the way is nobody's.
        """
        whose, since_ms = merge.into, stamp_ms
        while later := [
            each for each in (await self.merged([whose])).get(whose, ()) if each[0] > since_ms
        ]:
            gone_ms = (await self.forgotten([whose])).get(whose, -1)
            if since_ms <= gone_ms < later[0][0]:
                return False
            since_ms, whose = later[0]
        return whose == merge.source

    async def carry(self, some: Iterable["Carried"]) -> int:
        """Enter records into rings, and on into those of whom a shopper was merged into.

        What was merged meanwhile may have kept some out of the first rings: those who merged saw
        all that was in before. Returns how many places in rings were new.
        """
        new, left = 0, list(some)
        while left:
            for chunk in _chunks(left):
                calls = [
                    each
                    for user_id, records, since_ms in chunk
                    if (each := self._apply(user_id, records, since_ms))
                ]
                for recent, history in await self._run(self._scripts.apply, calls):
                    new += recent + history
            left = await self._onwards(left)
        return new

    async def merged(self, user_ids: Sequence[str]) -> dict[str, list[tuple[int, str]]]:
        """Return, of those of `user_ids` merged of late, when and into whom, earliest first."""
        async with translated():
            pipeline = self._writes.pipeline(transaction=False)
            for user_id in user_ids:
                pipeline.zrange(keys.merges_key(user_id), 0, -1)
            told = await pipeline.execute() if user_ids else []
        return {
            user_id: [_merged(each) for each in merges]
            for user_id, merges in zip(user_ids, told, strict=True)
            if merges
        }

    async def forgotten(self, user_ids: Sequence[str]) -> dict[str, int]:
        """Return, for those of `user_ids` forgotten of late, the stamp up to which they were."""
        async with translated():
            pipeline = self._writes.pipeline(transaction=False)
            for user_id in user_ids:
                pipeline.get(keys.forgotten_key(user_id))
            stamps = await pipeline.execute() if user_ids else []
            return {
                user_id: int(stamp)
                for user_id, stamp in zip(user_ids, stamps, strict=True)
                if stamp is not None
            }

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

    async def _fetch(self, queries: Sequence[ShopperQuery]) -> list[list[Any]]:
        if isinstance(self._reads, RedisCluster):
            return await _fetch_by_slot(self._reads, queries)
        return await _fetch_at_once(self._reads, queries)

    async def _run(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        if not calls:
            return []
        async with translated():
            return await script.run(self._writes, calls)

    async def _append_to_stream(self, events: Sequence[Event]) -> list[int]:
        where = (keys.STREAM, *keys.seen_keys(self._clock()))
        calls = []
        for chunk in _chunks(events):
            told = [part for event in chunk for part in (_digest(event), encode_event(event))]
            calls.append(call(where, self._stream_limit, 2 * keys.SEEN_WINDOW_S, *told))
        answers = await self._run(self._scripts.append, calls)
        stamps = [stamp for answer in answers if isinstance(answer, list) for stamp in answer]
        if len(stamps) != len(events):
            raise StoreError(f"online store: expected {len(events)} stamps, got {answers!r:.80}")
        return stamps

    async def _onwards(self, some: Sequence["Carried"]) -> "list[Carried]":
        """Return what belongs to somebody else, into whom the shopper was merged later.

        What was forgotten before that belongs to nobody.
        """
        merged = await self.merged(list(dict.fromkeys(each.user_id for each in some)))
        forgotten = await self.forgotten(list(merged))
        onwards = []
        for user_id, records, since_ms in some:
            gone = forgotten.get(user_id, -1)
            for stamp, into in merged.get(user_id, ()):
                if gone < stamp:
                    if since_ms is not None and since_ms <= gone:
                        break
                    if since_ms is None:
                        records = records[records["ts"] > gone]  # noqa: PLW2901 - what is left
                if since_ms is None:
                    onwards.append(Carried(into, _up_to(stamp, records), stamp))
                    records = records[records["ts"] > stamp]  # noqa: PLW2901 - what is left
                elif since_ms < stamp:
                    onwards.append(Carried(into, records, stamp))
                    break
        return [each for each in onwards if len(each.records)]

    def _apply(self, user_id: str, records: Records, since_ms: int | None = None) -> Call | None:
        recent, history = rings(_in_order(records))
        if not len(recent) and not len(history):
            return None
        prefix = keys.shopper_prefix(user_id)
        return call(
            (prefix + b"r", prefix + b"h", prefix + b"f", prefix + b"m"),
            _LAYOUT,
            _owner(user_id),
            self._ttl_s(user_id),
            RECENT_CAP,
            recent.tobytes(),
            HISTORY_CAP,
            history.tobytes(),
            *(() if since_ms is None else (since_ms,)),
        )

    def _ttl_s(self, user_id: str) -> int:
        is_session = anonymous.is_session(user_id)
        return min(self._ring_ttl_s, anonymous.TTL_S) if is_session else self._ring_ttl_s

    def _put_profile(self, user_id: str, profile: Mapping[str, Any]) -> Call:
        try:
            packed = orjson.dumps(dict(profile), option=orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError as error:
            raise InputError(f"profile of {user_id!r:.80}: {error}") from error
        where = (keys.profile_key(user_id), keys.forgotten_key(user_id))
        return call(where, _LAYOUT, _owner(user_id), self._ring_ttl_s, packed)


class _Scripts:
    def __init__(self) -> None:
        self.append = Script("append")
        self.apply = Script("apply")
        self.forget = Script("forget")
        self.merge = Script("merge")
        self.put_answer = Script("put_answer")
        self.put_profile = Script("put_profile")


async def _fetch_at_once(client: Commands, queries: Sequence[ShopperQuery]) -> list[list[Any]]:
    """Fetch all values in one command."""
    wanted = [key for query in queries for key in keys.read_keys(query.user_id, query.bucket)]
    values = await client.execute_command("MGET", *wanted)
    if not isinstance(values, list) or len(values) != len(wanted):
        raise StoreError(f"online store: expected {len(wanted)} values, got {values!r:.80}")
    return [values[at : at + 4] for at in range(0, len(values), 4)]


async def _fetch_by_slot(client: RedisCluster, queries: Sequence[ShopperQuery]) -> list[list[Any]]:
    """Fetch each shopper's values with a command of one slot, one round trip a node."""
    pipeline = client.pipeline(transaction=False)
    for query in queries:
        pipeline.execute_command("MGET", *keys.read_keys(query.user_id, query.bucket))
    return list(await pipeline.execute())


def _others(queries: Sequence[ShopperQuery]) -> dict[int, ShopperQuery]:
    """Return whom to read beside the shopper of each query (its number) that names another."""
    return {
        number: ShopperQuery(query.otherwise, query.bucket)
        for number, query in enumerate(queries)
        if query.otherwise is not None
    }


def _chosen(reads: list[ShopperRead], others: Mapping[int, ShopperQuery]) -> list[ShopperRead]:
    """Return the reads of queries, behind which stand those of `others`, in their place."""
    count = len(reads) - len(others)
    told = reads[:count]
    for (number, query), other in zip(others.items(), reads[count:], strict=True):
        first = told[number]
        disbelieved = first.disbelieved + other.disbelieved
        if first.state.known or not other.state.known:
            told[number] = first._replace(disbelieved=disbelieved)
        else:
            told[number] = other._replace(disbelieved=disbelieved, instead=query)
    return told


def _decode(
    query: ShopperQuery,
    recent_value: bytes | None,
    history_value: bytes | None,
    profile_value: bytes | None,
    answer_value: bytes | None,
) -> ShopperRead:
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
        recent=recent.records if recent else NO_RECORDS,
        history=history.records if history else NO_RECORDS,
        revision=_REVISION.pack(
            recent.revision if recent else 0,
            history.revision if history else 0,
            profile.revision if profile else 0,
        ),
    )


def _rings(user_id: str, recent: bytes | None, history: bytes | None) -> Records:
    """Return the records of two values of a shopper's, if they are that."""
    owner, caps = stable_hash(user_id), (RECENT_CAP, HISTORY_CAP)
    told = [
        value and decode_ring(value, owner, cap)
        for value, cap in zip((recent, history), caps, strict=True)
    ]
    return np.concatenate([each.records if each else NO_RECORDS for each in told])


def _up_to(stamp_ms: int, records: Records) -> Records:
    return records[records["ts"] <= stamp_ms]


def _merged(told: bytes) -> tuple[int, str]:
    stamp, _, into = told.decode("utf-8", "surrogatepass").partition(" ")
    return int(stamp), into


def _in_order(records: Records) -> Records:
    """Return the records sorted by (ts, tag), each tag and item once: as the script needs them."""
    if len(records) < 2:
        return records
    records = records[np.lexsort((records["tag"], records["ts"]))]
    if len(np.unique(records["tag"])) == len(records):
        return records
    identity = np.stack((records["tag"].astype(np.uint64), records["item"]))
    _, first = np.unique(identity, axis=1, return_index=True)
    return records if len(first) == len(records) else records[np.sort(first)]


def _digest(event: Event) -> bytes:
    return blake2b(event.event_id.encode(), digest_size=16).digest()


def _owner(user_id: str) -> bytes:
    return stable_hash(user_id).to_bytes(8, "little")


def _chunks(items: Iterable[T]) -> Iterable[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk
