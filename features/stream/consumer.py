"""`python -m features consume`: carry the event stream into the offline store, or mend the rings.

    claim what a dead consumer had ─┐
    read what got lost on the way  ─┤
    read until full or waited long ─┴─ bury ─ take ─ acknowledge ─ trim ─ again

An entry is acknowledged once it is safely taken, and taking it twice is the same as once: a
consumer that is killed at any moment loses nothing and doubles nothing. Where a store fails,
the batch in hand is tried again, with growing pauses, until it is taken.
"""

import asyncio
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import click

from features.errors import InputError, StoreError
from features.home import home_directory
from features.identity.forgotten import ForgottenList
from features.number_range import NumberRange
from features.online.store_url import running_store_url
from features.online.stream_entries import Entry
from features.online.valkey_store import ValkeyStore
from features.stream.event_stream import Delivery, EventStream, Group
from features.stream.repair import Repair

log = logging.getLogger("cuvee.features.consumer")

BATCH = 5_000
BATCH_BYTES = 16 * 2**20
READ = 500
"""Entries read at a time: an entry may be large."""

BLOCK_MS = 500
"""How long a read waits for the first entry: less than the socket's timeout."""

LINGER_S = {Group.OFFLINE: 5.0, Group.ONLINE: 0.0}
"""How long a batch is gathered: a table wants few commits, rings want none to wait."""

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0


class Sink(Protocol):
    """Where entries go. Taking the same ones again changes nothing."""

    async def take(self, entries: Sequence[Entry]) -> None:
        """Keep the entries durably, or raise `StoreError`."""
        ...


class Consumer:
    """Carries entries from `stream` to `sink` until `stop` is set, whatever fails meanwhile."""

    def __init__(
        self,
        stream: EventStream,
        sink: Sink,
        stop: asyncio.Event,
        *,
        linger_s: float,
        take_over_s: float,
    ) -> None:
        """Gather batches for `linger_s`; claim what another has had in hand for `take_over_s`."""
        self._stream = stream
        self._sink = sink
        self._stop = stop
        self._linger_s = linger_s
        self._take_over_s = take_over_s
        self._look_at = 0.0
        self._in_hand = Delivery()
        self._joined = False
        self._failing = False
        self._may_miss = False
        """An answer of the stream did not arrive: what it held counts as sent to us."""

    async def run(self) -> None:
        """Consume; return once `stop` is set and the batch in hand was tried."""
        pause_s = FIRST_PAUSE_S
        while not self._stop.is_set():
            try:
                await self._step()
            except StoreError as error:
                self._tell_failure(error)
                await self._pause(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                self._tell_success()
                pause_s = FIRST_PAUSE_S
        await self._leave()

    async def _step(self) -> None:
        if not self._joined:
            await self._stream.join()
            self._joined = True
        if not self._in_hand and self._may_miss:
            self._in_hand = await self._stream.read_again(READ)
            self._may_miss = bool(self._in_hand)
        if not self._in_hand:
            await self._take_over()
        if not self._in_hand:
            await self._gather()
        if self._in_hand:
            await self._finish()

    async def _take_over(self) -> None:
        """Claim what the dead had in hand, now and then."""
        if time.monotonic() < self._look_at:
            return
        self._in_hand = await self._stream.claim(READ, round(self._take_over_s * 1_000))
        if self._in_hand:
            log.info("took over %d entries that no consumer finished", len(self._in_hand))
        else:
            self._look_at = time.monotonic() + self._take_over_s / 2

    async def _gather(self) -> None:
        """Read until the batch is full, or its first entry has waited long enough."""
        until = float("inf")
        while not self._stop.is_set() and not self._is_full():
            left_ms = (until - time.monotonic()) * 1_000
            if left_ms < 1:
                return
            room = min(READ, BATCH - len(self._in_hand))
            self._in_hand += await self._stream.read(room, round(min(BLOCK_MS, left_ms)))
            if not self._in_hand:
                return
            until = min(until, time.monotonic() + self._linger_s)

    def _is_full(self) -> bool:
        return len(self._in_hand) >= BATCH or self._in_hand.size >= BATCH_BYTES

    async def _finish(self) -> None:
        entries, dead = self._in_hand.entries, self._in_hand.dead
        await self._stream.acknowledge(Delivery(dead=dead))  # first: they may be somebody's
        await self._sink.take(entries)
        await self._stream.acknowledge(Delivery(entries))
        if dead:
            log.warning("put aside %d unusable entries (%s, …)", len(dead), dead[0].reason)
        self._in_hand = Delivery()
        await self._stream.trim()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    async def _leave(self) -> None:
        try:
            await self._stream.leave()
        except StoreError as error:
            log.debug("not struck off: %s", error)  # others do it later

    def _tell_failure(self, error: StoreError) -> None:
        if not self._failing:
            log.warning("%s; nothing is lost, trying until it works", error)
        self._failing = True
        self._joined = False  # a store that comes back empty knows no groups
        self._may_miss = True

    def _tell_success(self) -> None:
        if self._failing:
            log.warning("works again")
        self._failing = False


async def consume(group: Group, home: Path, linger_s: float, take_over_s: float) -> None:
    """Consume as a member of `group` until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    store = ValkeyStore(running_store_url(home))
    try:
        name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        stream = EventStream(store.client, group, name)
        log.info("consuming as %s of group %s", name, group)
        sink = _sink(group, store, home)
        await Consumer(stream, sink, stop, linger_s=linger_s, take_over_s=take_over_s).run()
        log.info("stopped")
    finally:
        await store.close()


def _sink(group: Group, store: ValkeyStore, home: Path) -> Sink:
    if group is Group.ONLINE:
        return Repair(store, ForgottenList(home))
    try:  # the serving image has no tables, and the online group needs none
        from features.offline.store import OfflineStore  # noqa: PLC0415
        from features.stream.archive import Archive  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise InputError(
            f"--group offline needs {error.name}: pip install 'cuvee[train]'"
        ) from error
    return Archive(store, OfflineStore(home))


@click.command("consume")
@click.option("--group", required=True, type=click.Choice([str(group) for group in Group]))
@click.option(
    "--linger",
    "linger_s",
    type=NumberRange(min=0),
    metavar="SECONDS",
    help="Gather a batch for so long.  [default: 5 for offline, 0 for online]",
)
@click.option(
    "--take-over",
    "take_over_s",
    default=60.0,
    show_default=True,
    type=NumberRange(min=0),
    metavar="SECONDS",
    help="Take over what another consumer of the group has not finished for so long.",
)
def consume_command(group: str, linger_s: float | None, take_over_s: float) -> None:
    """Carry the events that the service took to where they are kept.

    Group `offline` writes them into the tables under CUVEE_HOME, a batch every few seconds,
    and deletes forgotten shoppers there. Group `online` mends what a service that died left
    undone. The stream is that of CUVEE_REDIS_URL, or of the embedded Valkey that runs under
    CUVEE_HOME. Runs until it is told to stop; may be killed at any moment. See docs/events.md.
    """
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    chosen = Group(group)
    linger_s = LINGER_S[chosen] if linger_s is None else linger_s
    asyncio.run(consume(chosen, home_directory(), linger_s, take_over_s))
