"""The event stream as one consumer of one group sees it.

Every entry is delivered to each group once and stays on the group's list until it is
acknowledged; what a dead consumer had in hand is claimed by the others. The stream keeps an
entry until all groups are done with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson
from redis.exceptions import ResponseError

from features.errors import FieldError
from features.online import keys
from features.online.stream_entries import Entry, decode_entry
from features.online.valkey_client import Client, Script, call, translated


class Group(StrEnum):
    """Who reads the stream: each of them gets every entry."""

    ONLINE = "online"
    OFFLINE = "offline"


DEAD_LETTERS_KEPT = 10_000
PAYLOAD_KEPT = 4_096
"""Bytes of an unusable entry that are kept for whoever looks into it."""

SILENT_MS = 3_600_000
"""A consumer with nothing in hand that was not heard of for an hour is struck off."""


@dataclass(frozen=True, slots=True)
class DeadEntry:
    """An entry that can never be used, why, and what it held."""

    entry_id: bytes
    reason: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one read brought, in the stream's order, and how many bytes that were."""

    entries: tuple[Entry, ...] = ()
    dead: tuple[DeadEntry, ...] = ()
    size: int = 0

    def __len__(self) -> int:
        """Return how many entries were delivered, usable or not."""
        return len(self.entries) + len(self.dead)

    def __add__(self, other: "Delivery") -> "Delivery":
        """Return both deliveries as one."""
        return Delivery(
            self.entries + other.entries, self.dead + other.dead, self.size + other.size
        )


class EventStream:
    """The stream for `consumer` of `group`. Whatever goes wrong is a `StoreError`."""

    def __init__(self, client: Client, group: Group, consumer: str) -> None:
        """Read with `client`; `consumer` must be nobody else's name."""
        self._client = client
        self._group = group
        self._consumer = consumer
        self._bury = Script("bury", Path(__file__).parent)
        self._trim = Script("trim", Path(__file__).parent)
        self._retire = Script("retire", Path(__file__).parent)

    async def join(self) -> None:
        """Create all groups that do not exist, so that none misses an entry."""
        for group in Group:
            async with translated():
                try:
                    await self._client.xgroup_create(keys.STREAM, group, "0", mkstream=True)
                except ResponseError as error:
                    if not str(error).startswith("BUSYGROUP"):
                        raise
        await self._run(self._retire, call((keys.STREAM,), self._group, SILENT_MS, ""))

    async def read(self, count: int, block_ms: int) -> Delivery:
        """Return at most `count` entries no consumer had, waiting for the first `block_ms`."""
        return await self._sent(">", count, block_ms)

    async def read_again(self, count: int) -> Delivery:
        """Return at most `count` entries that were sent to this consumer and not acknowledged."""
        return await self._sent("0", count)

    async def claim(self, count: int, idle_ms: int) -> Delivery:
        """Take over at most `count` entries that another had in hand for `idle_ms`."""
        async with translated():
            told: Any = await self._client.xautoclaim(
                keys.STREAM, self._group, self._consumer, idle_ms, "0-0", count
            )
            return _delivery(told[1])

    async def acknowledge(self, delivery: Delivery) -> None:
        """Take the entries off the group's list, and put the dead ones aside with the reason."""
        async with translated():
            if delivery.entries:
                ids = [entry.entry_id for entry in delivery.entries]
                await self._client.xack(keys.STREAM, self._group, *ids)
        if delivery.dead:
            told = [part for e in delivery.dead for part in (e.entry_id, e.reason, e.payload)]
            where = (keys.STREAM, keys.DEAD_LETTERS)
            await self._run(self._bury, call(where, self._group, DEAD_LETTERS_KEPT, *told))

    async def trim(self) -> int:
        """Drop what all groups are done with, and return how many entries that were."""
        dropped: int = await self._run(self._trim, call((keys.STREAM,), *Group))
        return dropped

    async def leave(self) -> None:
        """Strike this consumer off if it has nothing in hand."""
        await self._run(self._retire, call((keys.STREAM,), self._group, SILENT_MS, self._consumer))

    async def _sent(self, after: str, count: int, block_ms: int | None = None) -> Delivery:
        async with translated():
            told: Any = await self._client.xreadgroup(
                self._group, self._consumer, {keys.STREAM: after}, count=count, block=block_ms
            )
            return _delivery(told[0][1] if told else ())

    async def _run(self, script: Script, one: tuple[Any, ...]) -> Any:  # noqa: ANN401 (the script's)
        return (await script.run(self._client, [one]))[0]


async def behind(client: Client) -> dict[str, int]:
    """Return how many entries of the stream each group of consumers has yet to finish.

    Raises `StoreError`.
    """
    async with translated():
        if not await client.exists(keys.STREAM):
            return {}
        length = await client.xlen(keys.STREAM)
        groups: Any = await client.xinfo_groups(keys.STREAM)
        return {each["name"].decode(): _unfinished(each, length) for each in groups}


def _unfinished(group: Mapping[str, Any], length: int) -> int:
    """Return what a group has in hand and has not read; all there is where that is unknown."""
    lag = group.get("lag")
    return min(int(group["pending"]) + (length if lag is None else int(lag)), length)


def _delivery(told: Sequence[tuple[bytes, Mapping[bytes, bytes] | None]]) -> Delivery:
    entries, dead, size = [], [], 0
    for entry_id, held in told:
        fields = held or {}  # deleted from the stream while it was on the list
        size += sum(map(len, fields.values()))
        try:
            entries.append(decode_entry(entry_id, fields))
        except FieldError as error:
            dead.append(DeadEntry(entry_id, str(error)[:500], _payload(fields)))
    return Delivery(tuple(entries), tuple(dead), size)


def _payload(fields: Mapping[bytes, bytes]) -> bytes:
    readable = {
        name.decode(errors="replace"): value[:PAYLOAD_KEPT].decode(errors="replace")
        for name, value in fields.items()
    }
    return orjson.dumps(readable)[:PAYLOAD_KEPT]
