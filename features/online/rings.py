"""The rings of shoppers in the online store: entered, carried into others', and forgotten."""

from collections.abc import Iterable, Sequence
from itertools import starmap

import numpy as np

from features import anonymous
from features.eventlog import NO_RECORDS, rings
from features.events import Records
from features.history import HISTORY_CAP, RECENT_CAP
from features.ids import stable_hash
from features.online import keys
from features.online.carried import Carried, onwards, up_to
from features.online.stream_entries import Merge
from features.online.valkey_client import Call, Client, Script, call, chunks, translated
from features.online.values import LAYOUT, held_records, owner_of
from features.turns import in_order

FORGOTTEN_TTL_S = 7 * 86_400
"""How long what arrived before a shopper was forgotten is kept from coming back, and what arrived
before one was merged into another is led there."""


class Rings:
    """Everybody's rings. Whatever goes wrong is a `StoreError`."""

    def __init__(self, client: Client, ttl_s: int) -> None:
        """Write with `client`; who does nothing for `ttl_s` is not remembered."""
        self._client = client
        self._ttl_s = ttl_s
        self._apply = Script("apply")
        self._forget = Script("forget")
        self._merge = Script("merge")

    async def apply(self, shoppers: Iterable[tuple[str, Records]]) -> int:
        """Enter records of any order, with their turns, into the rings of each (user id, records).

        Idempotent by tag and item: returns how many places in rings were new.
        """
        return await self._enter(starmap(Carried, shoppers))

    async def carry(self, some: Iterable[Carried]) -> int:
        """Enter records into rings, and on into those of whom a shopper was merged into.

        What was merged meanwhile may have kept some out of the first rings: those who merged saw
        all that was in before. Returns how many places in rings were new.
        """
        new, left = 0, list(some)
        while left:
            new += await self._enter(left)
            merged = await self.merged(list(dict.fromkeys(each.user_id for each in left)))
            left = onwards(left, merged, await self.forgotten(list(merged)))
        return new

    async def forget_until(self, user_id: str, stamp_ms: int) -> None:
        """Remove what arrived up to `stamp_ms`, profile and answers, and keep it from returning."""
        await self._remove(user_id, stamp_ms, FORGOTTEN_TTL_S)

    async def merge_until(self, merge: Merge, stamp_ms: int) -> int:
        """Bring what arrived of one shopper up to `stamp_ms` into another's rings; twice as once.

        First nothing more enters the rings of the one, then they are carried over, then they go:
        whoever dies in between leaves all of it to be done again from the stream. What came back
        by later merges stays. Returns how many events the one had, 0 where it was done before.
        """
        prefix = keys.shopper_prefix(merge.source)
        where = [prefix + kind for kind in (b"r", b"h", b"m", b"d")]
        marking = call(where, stamp_ms, FORGOTTEN_TTL_S, merge.into.encode())
        (rings_of,) = await self._merge.run(self._client, [marking])
        if not rings_of:
            return 0
        records = up_to(stamp_ms, _in_order(_records(merge.source, *rings_of)))
        await self.carry([Carried(merge.into, records, stamp_ms)])
        gone_ms = -1 if await self._comes_back(merge, stamp_ms) else stamp_ms
        await self._remove(merge.source, gone_ms, 0, (stamp_ms, merge.into))
        return len(records)

    async def merged(self, user_ids: Sequence[str]) -> dict[str, list[tuple[int, str]]]:
        """Return, of those of `user_ids` merged of late, when and into whom, earliest first."""
        async with translated():
            pipeline = self._client.pipeline(transaction=False)
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
            pipeline = self._client.pipeline(transaction=False)
            for user_id in user_ids:
                pipeline.get(keys.forgotten_key(user_id))
            stamps = await pipeline.execute() if user_ids else []
            return {
                user_id: int(stamp)
                for user_id, stamp in zip(user_ids, stamps, strict=True)
                if stamp is not None
            }

    async def _enter(self, some: Iterable[Carried]) -> int:
        new = 0
        for chunk in chunks(some):
            calls = [each for carried in chunk if (each := self._entry(carried))]
            async with translated():
                for recent, history in await self._apply.run(self._client, calls):
                    new += recent + history
        return new

    def _entry(self, carried: Carried) -> Call | None:
        user_id, records, since_ms = carried
        recent, history = rings(_in_order(records))
        if not len(recent) and not len(history):
            return None
        prefix = keys.shopper_prefix(user_id)
        return call(
            (prefix + b"r", prefix + b"h", prefix + b"f", prefix + b"m"),
            LAYOUT,
            owner_of(user_id),
            min(self._ttl_s, anonymous.TTL_S) if anonymous.is_session(user_id) else self._ttl_s,
            RECENT_CAP,
            recent.tobytes(),
            HISTORY_CAP,
            history.tobytes(),
            *(() if since_ms is None else (since_ms,)),
        )

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

    async def _remove(
        self, user_id: str, stamp_ms: int, kept_out_s: int, merge: tuple[int, str] | None = None
    ) -> None:
        """Remove what arrived up to a stamp.

        With a `merge`, when and into whom, it is noted that this was done to the end; where that
        is noted already nothing is removed.
        """
        prefix = keys.shopper_prefix(user_id)
        where = [prefix + kind for kind in (b"r", b"h", b"p", b"f", b"b")]
        told: tuple[int | bytes, ...] = ()
        if merge is not None:
            at_ms, into = merge
            where.append(prefix + b"d")
            told = (at_ms, into.encode(), FORGOTTEN_TTL_S)
        arguments = call(where, stamp_ms, kept_out_s, prefix + b"a:", *told)
        await self._forget.run(self._client, [arguments])


def _records(user_id: str, recent: bytes | None, history: bytes | None) -> Records:
    """Return the records of two values of a shopper's, if they are that."""
    owner, caps = stable_hash(user_id), (RECENT_CAP, HISTORY_CAP)
    values = zip((recent, history), caps, strict=True)
    told = [held_records(value, owner, cap) for value, cap in values if value]
    return np.concatenate([NO_RECORDS, *told])


def _merged(told: bytes) -> tuple[int, str]:
    stamp, _, into = told.decode("utf-8", "surrogatepass").partition(" ")
    return int(stamp), into


def _in_order(records: Records) -> Records:
    """Return the records in order, each tag and item once: as the script needs them."""
    if len(records) < 2:
        return records
    records = in_order(records)
    if len(np.unique(records["tag"])) == len(records):
        return records
    identity = np.stack((records["tag"].astype(np.uint64), records["item"]))
    _, first = np.unique(identity, axis=1, return_index=True)
    return records if len(first) == len(records) else records[np.sort(first)]
