"""Segments of served lists, carried into their table: each list once, whoever is killed when.

    whole segments ─ their names and a number, noted ─ ONE commit that notes the number ─ removed

A number that the table has noted was committed: what stands beside it is removed, not carried
again. One that it has not is tried anew, with the same segments.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from features.errors import StoreError
from features.lists import spool
from features.lists.columns import rows_of
from features.lock import locked
from features.offline.store import OfflineStore
from features.offline.tidying import Tidying
from features.whole_file import named

log = logging.getLogger("cuvee.features.lists")

TOGETHER_BYTES = 64 * 2**20
"""Segments that are carried in one commit."""

CARRY_EVERY_S = 30.0
FAILED_EVERY_S = 10.0

_NOTE = ".carrying"


class Carried(NamedTuple):
    """Lists that are in the table now; lines that are none; lists of who was forgotten since."""

    lists: int = 0
    unreadable: int = 0
    forgotten: int = 0

    def __add__(self, other: object) -> "Carried":
        """Return what both say."""
        assert isinstance(other, Carried)  # noqa: S101 - there is no other sum
        return Carried(*(one + more for one, more in zip(self, other, strict=True)))


class Carrier:
    """Carries the segments of a home into its table."""

    def __init__(self, offline: OfflineStore) -> None:
        """Write to `offline`."""
        self._offline = offline
        self._home = offline.home
        self._folder = offline.home / spool.FOLDER
        self._note = self._folder / _NOTE
        self._tidying = Tidying(offline)

    def carry(self) -> Carried:
        """Carry all that is whole; raise `StoreError` where tables or files fail."""
        if not self._folder.is_dir():
            return Carried()
        carried = Carried()
        try:
            with locked(self._folder):
                spool.close_abandoned(self._home)
                while names := self._noted() or self._next():
                    carried += self._carry(names)
        except OSError as error:
            raise StoreError(f"served lists: {error}") from error
        if carried.lists:
            self._tidying.committed()
        self._tidying.tidy_if_due()
        return carried

    def _noted(self) -> Sequence[str]:
        """Return the segments that somebody was at; remove them if they are in the table."""
        try:
            told: dict[str, Any] = orjson.loads(self._note.read_bytes())
            number, names = int(told["number"]), list(told["segments"])
        except FileNotFoundError:
            return ()
        except (ValueError, KeyError, TypeError):  # killed before it was whole, and nothing done
            self._note.unlink()
            return ()
        if number <= self._offline.served_number():
            self._remove(names)
            return ()
        return names

    def _next(self) -> Sequence[str]:
        """Choose the oldest segments that are whole, and note them."""
        size, names = 0, list[str]()
        for each in spool.whole_segments(self._home):
            if names and size + each.size > TOGETHER_BYTES:
                break
            size += each.size
            names.append(each.path.name)
        return names

    def _carry(self, names: Sequence[str]) -> Carried:
        number = self._offline.served_number() + 1
        scratch = self._note.with_suffix(spool.SCRATCH)
        with named(scratch):
            scratch.write_bytes(orjson.dumps({"number": number, "segments": names}))
        scratch.replace(self._note)
        rows = _Rows(self._folder, names)
        forgotten = self._offline.append_served(rows, number) or 0
        self._remove(names)
        return Carried(rows.lists - forgotten, rows.unreadable, forgotten)

    def _remove(self, names: Sequence[str]) -> None:
        for name in names:
            (self._folder / name).unlink(missing_ok=True)
        self._note.unlink()


class _Rows:
    """The rows of segments, a batch for each; what is none is counted."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._folder = folder
        self._names = names
        self.lists = 0
        self.unreadable = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for name in self._names:
            with suppress(FileNotFoundError), spool.reading(self._folder / name) as file:
                batch, unreadable = rows_of(file.read())
                self.lists += batch.num_rows
                self.unreadable += unreadable
                if batch.num_rows:
                    yield batch


async def carry_until(
    stop: asyncio.Event, carrier: Carrier, every_s: float = CARRY_EVERY_S
) -> None:
    """Carry now and then until `stop` is set, whatever fails meanwhile."""
    is_failing = False
    while not stop.is_set():
        pause_s = every_s
        try:
            _tell(await asyncio.to_thread(carrier.carry))
        except Exception as error:  # noqa: BLE001 - the events' consumer beside it must go on
            if not is_failing:
                log.warning("%s; lists wait, trying until it works", error)
            is_failing, pause_s = True, min(every_s, FAILED_EVERY_S)
        else:
            if is_failing:
                log.warning("lists are carried again")
            is_failing = False
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await stop.wait()


def _tell(carried: Carried) -> None:
    if carried.unreadable:
        log.warning("%d lines of served lists are none and were left out", carried.unreadable)
    if carried.lists:
        log.debug("%d served lists written", carried.lists)
