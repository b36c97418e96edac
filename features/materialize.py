"""`python -m features materialize`: bring what the offline store knows of shoppers online.

    version the same as last time? ─ yes ─ done
    every shopper's events ─ rings ─ merged into the rings online, newest first
    every shopper's record ─ profile

Rings are merged, never overwritten: an event that only the online store has stays, one that
both have counts once, and each ring keeps the latest up to its cap. Whoever was forgotten of
late stays forgotten. So it may run beside a service under load, and as often as one likes.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click

from features import keys
from features.errors import InputError
from features.eventlog import EventLog
from features.events import Records
from features.history import HISTORY_CAP, RECENT_CAP
from features.home import home_directory
from features.offline import OfflineStore
from features.progress import track
from features.store_url import store_url
from features.valkey_client import translated
from features.valkey_store import ValkeyStore
from features.values import VERSION

_PROFILES = 1_000


@dataclass(frozen=True, slots=True)
class Materialized:
    """What one run brought online; `places` counts entries of rings that were new."""

    shoppers: int
    places: int
    profiles: int
    version: str
    was_there: bool = False


async def materialize(
    online: ValkeyStore, offline: OfflineStore, *, force: bool = False
) -> Materialized:
    """Bring all shoppers online; do nothing where this version is, unless `force`.

    Raises `InputError` where there are no shoppers, `StoreError` where a store fails; what was
    done until then stays, and the next run does the rest.
    """
    version = offline.version()  # first: what is added meanwhile is for the next run
    mark = f"{version} layout {VERSION} caps {RECENT_CAP} {HISTORY_CAP}".encode()
    if not force and await _mark(online) == mark:
        return Materialized(0, 0, 0, version, was_there=True)
    log = offline.event_log()
    if not log.user_ids and not log.profiles:
        raise InputError("there are no shoppers: run `ingest` or `simulate` first")
    places = await online.apply(track(_shoppers(log), "shoppers", len(log.user_ids)))
    profiles = 0
    for some in track(list(_parts(log.profiles)), "profiles"):
        profiles += await online.put_profiles(some)
    async with translated():
        await online.client.set(keys.MATERIALIZED, mark)
    return Materialized(len(log.user_ids), places, profiles, version)


async def _mark(online: ValkeyStore) -> Any:  # noqa: ANN401 (bytes or None; the stubs say more)
    async with translated():
        mark: Any = await online.client.get(keys.MATERIALIZED)
        return mark


def _shoppers(log: EventLog) -> Iterator[tuple[str, Records]]:
    for number, user_id in enumerate(log.user_ids):
        yield user_id, log.of(number)


def _parts(profiles: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Mapping[str, Any]]]:
    told = iter(profiles.items())
    while part := dict(islice(told, _PROFILES)):
        yield part


async def _materialize_at(url: str, home: Path, *, force: bool) -> Materialized:
    online = ValkeyStore(url)
    try:
        return await materialize(online, OfflineStore(home), force=force)
    finally:
        await online.close()


@click.command("materialize")
@click.option("--force", is_flag=True, help="Even where this version of the data is online.")
def materialize_command(force: bool) -> None:
    """Bring every shopper's latest events and record online, for the service to read.

    What is online already is merged with: newer events stay. The same data a second time takes
    no time. The store is that of CUVEE_REDIS_URL, or the embedded Valkey under CUVEE_HOME,
    which is started for as long as needed if none runs.
    """
    home = home_directory()
    with store_url(home) as url:
        told = asyncio.run(_materialize_at(url, home, force=force))
    if told.was_there:
        click.echo(f"online already: {told.version}")
        return
    click.echo(
        f"{told.shoppers} shoppers online, {told.places} places in their rings new, "
        f"{told.profiles} profiles new or changed: {told.version}"
    )
