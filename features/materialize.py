"""`python -m features materialize`: bring what the offline store knows of shoppers online.

    rows the same as last time? ─ yes ─ done
    as good as the rules of data quality ask? ─ no ─ held back
    shoppers in the order of their ids, a part of the events at a time
        records  ─ profiles
        events   ─ rings, merged into the rings online, newest first ─ how far ─ not too fast

Rings are merged, never overwritten: an event that only the online store has stays, one that
both have counts once, and each ring keeps the latest up to its cap. Whoever was forgotten of
late stays forgotten, and what was somebody's who is merged meanwhile is led on. So it may run
beside a service under load, and as often as one likes.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

import click
import polars as pl

from features.errors import FeaturesError, InputError
from features.history import HISTORY_CAP, RECENT_CAP
from features.home import home_directory
from features.number_range import NumberRange
from features.offline.parts import Part
from features.offline.store import OfflineStore
from features.online import keys
from features.online.carried import Carried
from features.online.store_url import store_url
from features.online.valkey_client import translated
from features.online.valkey_store import ValkeyStore
from features.online.values import VERSION
from features.progress import progress
from features.quality.gatekeeper import Gatekeeper
from features.quality.rules import rules_in_force

AT_ONCE = 50
"""Shoppers of one command: the store answers nobody else meanwhile, for a millisecond or two."""

RATE = 2_000.0
"""Shoppers a second: a tenth of what the store can do, so that whoever asks it hardly waits."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Materialized:
    """What one run brought online; `events` counts places in rings that were newly filled."""

    shoppers: int
    events: int
    profiles: int
    version: str
    was_there: bool = False


class _Pace:
    """Keeps to `rate` a second on the whole; 0 for as fast as it goes."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._due = time.monotonic()

    async def wait(self, count: int) -> None:
        if self._rate:
            now = time.monotonic()
            self._due = max(self._due, now - 1) + count / self._rate
            await asyncio.sleep(max(self._due - now, 0))


async def materialize(
    online: ValkeyStore,
    offline: OfflineStore,
    *,
    gatekeeper: Gatekeeper | None = None,
    force: bool = False,
    since_ms: int | None = None,
    rate: float = RATE,
) -> Materialized:
    """Bring shoppers online, all or those with events `since_ms`, at most `rate` a second.

    Does nothing where these rows are online, unless `force`. A run that was stopped is gone on
    with by the next: of shoppers it had brought only those whose data changed since come again.
    Raises `InputError` where there are no shoppers, `QuarantinedError` where `gatekeeper` holds
    the tables back, `StoreError` where a store fails.
    """
    version = offline.version()  # first: what is added meanwhile is for the next run
    kind = f" of {offline.identity()} layout {VERSION} caps {RECENT_CAP} {HISTORY_CAP}"
    if since_ms is not None:
        kind += f" since {since_ms}"
    mark = version + kind
    if not force and since_ms is None and await _is_online(online, offline, kind):
        return Materialized(0, 0, 0, version, was_there=True)
    if gatekeeper is not None:
        gatekeeper.tables(version)
    offline = offline.at(version)
    stopped = None if force else await _stopped(online, offline, kind)
    parts = stopped.rest(offline, since_ms) if stopped else offline.parts(since_ms=since_ms)
    if not (parts or stopped or since_ms is not None or offline.count("items")):
        raise InputError("there are no shoppers: run `ingest` or `simulate` first")
    told = await _bring(online, offline, parts, stopped.mark if stopped else mark, rate)
    async with translated():
        if since_ms is None:
            await online.client.set(keys.MATERIALIZED, mark)
        await online.client.delete(keys.MATERIALIZING)
    return Materialized(*told, version)


@dataclass(frozen=True, slots=True)
class _Stopped:
    """How far a run came: shoppers up to `behind` are online, as they were by its `mark`."""

    mark: str
    behind: str
    changed: pl.DataFrame
    """Those of whom there may be more since then, in a column user_id."""

    def rest(self, offline: OfflineStore, since_ms: int | None) -> list[Part]:
        """Return whom it did not come to, and then of the others those of whom there is more."""
        parts = offline.parts(behind=self.behind, since_ms=since_ms)
        if len(self.changed):
            parts += offline.parts(until=self.behind, since_ms=since_ms, whose=self.changed)
        return parts


async def _is_online(online: ValkeyStore, offline: OfflineStore, kind: str) -> bool:
    """Tell whether what was brought last is what there is; merged files are no other data."""
    mark = await _get(online, keys.MATERIALIZED)
    return mark.endswith(kind) and offline.is_unchanged_since(mark.removesuffix(kind))


async def _stopped(online: ValkeyStore, offline: OfflineStore, kind: str) -> _Stopped | None:
    """Return how far a run of the same kind came that did not end, None for none to go on with."""
    mark, _, behind = (await _get(online, keys.MATERIALIZING)).partition("\0")
    if not behind or not mark.endswith(kind):
        return None
    try:
        return _Stopped(mark, behind, offline.changed_since(mark.removesuffix(kind)))
    except FeaturesError:  # too long ago, or of other tables
        return None


async def _bring(
    online: ValkeyStore, offline: OfflineStore, parts: list[Part], mark: str, rate: float
) -> tuple[int, int, int]:
    """Return how many shoppers there were, and how many events and profiles are new.

    `mark` says of what version at least are those that were brought.
    """
    shoppers, events, profiles, pace = 0, 0, 0, _Pace(rate)
    with progress("shoppers", sum(part.shoppers for part in parts)) as bar:
        for part in parts:
            forgotten = offline.forgotten()  # first: the log heeds at least these
            log = offline.event_log(part=part)
            heeded_ms = forgotten.until(log.profiles)
            for records in _chunks(log.profiles.items()):
                profiles += await online.put_profiles(dict(records), heeded_ms)
                await pace.wait(len(records))
            for users in _chunks(enumerate(log.user_ids)):
                rings = [Carried(user_id, log.held(number)) for number, user_id in users]
                events += await online.rings.carry(rings)
                bar.advance(len(rings))
                if part.whose is None:
                    await _note(online, f"{mark}\0{rings[-1][0]}")
                await pace.wait(len(users))
            shoppers += len(log.user_ids)
    return shoppers, events, profiles


async def _note(online: ValkeyStore, how_far: str) -> None:
    async with translated():
        await online.client.set(keys.MATERIALIZING, how_far)


async def _get(online: ValkeyStore, key: bytes) -> str:
    async with translated():
        value: Any = await online.client.get(key)
        return "" if value is None else value.decode("utf-8", "replace")


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    told = iter(items)
    while chunk := list(islice(told, AT_ONCE)):
        yield chunk


async def _materialize_at(
    url: str, offline: OfflineStore, options: Mapping[str, Any]
) -> Materialized:
    online = ValkeyStore(url)
    try:
        return await materialize(online, offline, **options)
    finally:
        await online.close()


@click.command("materialize")
@click.option("--force", is_flag=True, help="Even where this version of the data is online.")
@click.option(
    "--since",
    type=click.DateTime(("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S")),
    help="Only shoppers of whom an event arrived since (UTC).",
)
@click.option(
    "--rate",
    type=NumberRange(min=0),
    default=RATE,
    show_default=True,
    help="Shoppers a second, their records counted by themselves; 0: as fast as it goes.",
)
def materialize_command(force: bool, since: datetime | None, rate: float) -> None:
    """Bring every shopper's latest events and record online, for the service to read.

    What is online already is merged with: newer events stay. The same data a second time takes
    no time; a run that was stopped is gone on with. The store is that of CUVEE_REDIS_URL, or the
    embedded Valkey under CUVEE_HOME, which is started for as long as needed if none runs.
    """
    if since is not None and since.replace(tzinfo=UTC) > datetime.now(UTC):
        raise InputError(f"--since: expected a time that has been, got {since} (UTC)")
    home = home_directory()
    offline = OfflineStore(home)
    offline.require_rows()  # before a store is made for nobody
    since_ms = None if since is None else round(since.replace(tzinfo=UTC).timestamp() * 1_000)
    gatekeeper = Gatekeeper(home, rules_in_force())
    options = {"gatekeeper": gatekeeper, "force": force, "since_ms": since_ms, "rate": rate}
    with store_url(home) as url:
        told = asyncio.run(_materialize_at(url, offline, options))
    if told.was_there:
        click.echo(f"online already: {told.version}")
        return
    click.echo(
        f"shoppers  {told.shoppers:,} brought online\n"
        f"events    {told.events:,} places newly filled in shoppers' lists (the latest "
        f"{RECENT_CAP} events; the latest {HISTORY_CAP} purchases, ratings, refusals)\n"
        f"users     {told.profiles:,} records new or changed\n"
        f"version   {told.version}"
    )
