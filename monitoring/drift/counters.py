"""The windows' counts in Valkey: they add up whoever counted, and nothing is counted twice.

    {drift}:WHAT:at        how far each log was read
    {drift}:WHAT:NUMBER    a window: its slots, buckets of shoppers, and bins of each column

Features and scores are of other rows: each group of columns has slots and buckets of its own.
WHAT is a hash of all that numbers mean something by. Memory is bounded: windows expire.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from features.online.valkey_client import Client, Script, call, translated
from monitoring.drift.columns import Column, Ints
from monitoring.drift.counts import Counts

_SLOTS, _BUCKETS = (b"s", b"S"), (b"b", b"B")
"""Of each group."""

Groups: TypeAlias = Sequence[Sequence[Column]]
Window: TypeAlias = tuple[Counts, ...]
"""What was counted of each group."""


class Counters:
    """Counts `groups` of columns in windows; `what` tells apart what must not be added up."""

    def __init__(self, client: Client, groups: Groups, what: str, keep_s: int) -> None:
        """Keep a window for `keep_s` seconds from its last row; there are two groups at most."""
        self._client = client
        self._groups = groups
        self._keep_s = keep_s
        columns = [column for group in groups for column in group]
        self._places = {each.name: b"%d" % at for at, each in enumerate(columns)}
        names = "\n".join([what, *(f"{each.name} {each.size}" for each in columns)])
        self._prefix = b"{drift}:%b:" % blake2b(names.encode(), digest_size=8).hexdigest().encode()
        self._count = Script("count", Path(__file__).parent)

    async def positions(self) -> dict[str, int]:
        """Return how far each log was read, in bytes; raise `StoreError`."""
        async with translated():
            told = await self._client.execute_command("HGETALL", self._prefix + b"at")
            return {name.decode(): int(at) for name, at in _pairs(told)}

    async def add(self, log: str, start: int, end: int, counts: Mapping[int, Window]) -> bool:
        """Add what bytes `start` to `end` of a log have counted, by number of the window.

        Tell whether they were; they are not where the log was read from another place before.
        Raises `StoreError`: they were added or were not, and adding them again is safe.
        """
        arguments: list[bytes | str | int] = [log, start, end, self._keep_s]
        for each in counts.values():
            fields = list(self._fields(each))
            arguments += [len(fields), *(part for pair in fields for part in pair)]
        keys = [self._prefix + b"at", *(self._key(number) for number in counts)]
        async with translated():
            answers = await self._count.run(self._client, [call(keys, *arguments)])
            return bool(answers[0])

    async def window(self, number: int) -> Window:
        """Return what was counted in a window; raise `StoreError`."""
        window = tuple(Counts.none(group) for group in self._groups)
        places = dict(self._named(window))
        async with translated():
            told = await self._client.execute_command("HGETALL", self._key(number))
            for field, count in _pairs(told):
                name, _, at = field.partition(b":")
                places[name][int(at)] = int(count)
        return window

    async def forget(self, logs: Sequence[str], windows: Sequence[int]) -> None:
        """Forget logs that are gone, and windows that never were; raise `StoreError`."""
        async with translated():
            if logs:
                await self._client.execute_command("HDEL", self._prefix + b"at", *logs)
            for number in windows:
                await self._client.execute_command("DEL", self._key(number))

    def _key(self, number: int) -> bytes:
        return self._prefix + b"%d" % number

    def _named(self, window: Window) -> Iterator[tuple[bytes, Ints]]:
        """Yield the names of all counts of a window, and the counts."""
        for counts, slots, buckets in zip(window, _SLOTS, _BUCKETS, strict=False):
            yield slots, counts.slots
            yield buckets, counts.buckets
            yield from ((self._places[name], bins) for name, bins in counts.bins.items())

    def _fields(self, window: Window) -> Iterator[tuple[bytes, int]]:
        for name, counts in self._named(window):
            for at in np.flatnonzero(counts).tolist():
                yield b"%b:%d" % (name, at), int(counts[at])


def _pairs(told: Any) -> Iterator[tuple[bytes, bytes]]:  # noqa: ANN401 - the client's
    """Yield fields and values of a hash, whichever way the client tells them."""
    if isinstance(told, Mapping):
        yield from told.items()
    else:
        yield from zip(told[::2], told[1::2], strict=True)
