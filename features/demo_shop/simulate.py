"""`python -m features simulate`: the demo wine shop, as large as asked for, in constant memory.

Shoppers are simulated in chunks, each from its own seed, and streamed into one fresh commit:
the same size, seed and end give the same events to the byte.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import click
import numpy as np
import pyarrow as pa

from features.demo_shop.seasons import Calendar
from features.demo_shop.tables import DEVICES, events_table, items_table, users_table
from features.demo_shop.visits import Shop, visits_of
from features.demo_shop.world import Codes, make_kinds, make_shoppers, make_wines
from features.errors import InputError
from features.home import home_directory
from features.offline.store import OfflineStore
from features.progress import Bar, progress
from features.quality.baselines import Baselines
from features.wording import counted

MIN_EVENTS, MAX_EVENTS = 1_000, 100_000_000
DEFAULT_UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
DAYS = 420
"""How long the shop has been open: a year, and a season to learn from before it."""

_CHUNK = 512
_DEVICE_SHARE = (0.55, 0.38, 0.07)


@dataclass(frozen=True, slots=True)
class World:
    """A shop of a given size, seed and end; everything else follows from these."""

    events: int
    seed: int
    until: datetime
    events_a_shopper: int = 90

    @property
    def buyers(self) -> int:
        """How many shoppers have events."""
        return max(self.events // self.events_a_shopper, 8)

    @property
    def shoppers(self) -> int:
        """How many shoppers there are, one in twenty of them without a single event."""
        return self.buyers + self.buyers // 20 + 1

    @property
    def wines(self) -> int:
        """How many wines there are."""
        return round(60 * math.pow(self.events / MIN_EVENTS, 0.4))


def simulate(store: OfflineStore, world: World) -> int:
    """Replace everything in the store by the demo shop, and return the number of events.

    Who is stopped leaves the old shop or the new one, and no half of either. Shoppers of the home
    who were forgotten after these events are not in it.
    """
    if not MIN_EVENTS <= world.events <= MAX_EVENTS:
        raise InputError(f"--events: expected {MIN_EVENTS:,} to {MAX_EVENTS:,}")
    calendar = Calendar.ending(world.until, DAYS)
    wines = make_wines(world.seed, world.wines, calendar.start_ms, calendar.until_ms)
    shop = Shop.opened(wines, make_kinds(world.seed), calendar)
    others = {"items": items_table(wines), "users": user_batches(world)}
    with progress("simulating", world.events) as bar:
        events = _told(event_batches(world, shop), bar)
        return store.replace_all(_forgetting(Baselines(store.home), events), others)


def event_batches(world: World, shop: Shop) -> Iterator[pa.RecordBatch]:
    """Yield all events, shopper by shopper, exactly `world.events` of them."""
    targets = _targets(world)
    for first in range(0, len(targets), _CHUNK):
        wanted = targets[first : first + _CHUNK]
        shoppers = make_shoppers(world.seed, first, len(wanted))
        random = np.random.default_rng([world.seed, 4, first])
        happenings = visits_of(shop, shoppers, wanted, random)
        devices = random.choice(len(DEVICES), int(happenings.visit.max()) + 1, p=_DEVICE_SHARE)
        table = events_table(happenings, shop.wines, shoppers, devices, world.seed)
        yield from table.to_batches()


def user_batches(world: World) -> Iterator[pa.RecordBatch]:
    """Yield all shoppers, those without events last."""
    chunks = [(at, min(_CHUNK, world.buyers - at)) for at in range(0, world.buyers, _CHUNK)]
    for first, count in [*chunks, (world.buyers, world.shoppers - world.buyers)]:
        yield from users_table(make_shoppers(world.seed, first, count)).to_batches()


def _targets(world: World) -> Codes:
    """Return the number of events of each buyer: a few have very many, the sum is exact."""
    random = np.random.default_rng([world.seed, 5])
    weights = np.cumsum(random.lognormal(0, 0.9, world.buyers))
    edges = np.floor(weights / weights[-1] * world.events).astype(np.int64)
    targets: Codes = np.diff(edges, prepend=0)
    return targets


def _told(batches: Iterator[pa.RecordBatch], bar: Bar) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch
        bar.advance(batch.num_rows)


def _forgetting(
    baselines: Baselines, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Yield the batches, and forget what the data of before were like just before these count."""
    yield from batches
    baselines.forget()


@click.command("simulate")
@click.option(
    "--events",
    default=100_000,
    show_default=True,
    type=click.IntRange(MIN_EVENTS, MAX_EVENTS),
    help="How many events: exactly so many are made.",
)
@click.option("--seed", default=7, show_default=True, type=click.IntRange(0, 2**31 - 1))
@click.option(
    "--until",
    default=f"{DEFAULT_UNTIL:%Y-%m-%d}",
    show_default=True,
    type=click.DateTime(["%Y-%m-%d"]),
    help="The day (UTC) before which everything happened.",
)
@click.option("--if-empty", is_flag=True, help="Do nothing where there is data already.")
@click.option("--replace", is_flag=True, help="Put the demo shop in the place of what is there.")
def simulate_command(
    events: int, seed: int, until: datetime, if_empty: bool, replace: bool
) -> None:
    """Make the demo wine shop: wines, shoppers with tastes, and 14 months of what they did.

    The same size, seed and --until give the same events, to the byte. Those of shoppers who were
    forgotten in this home since are passed over.
    """
    home = home_directory()
    store = OfflineStore(home)
    if not store.is_empty() and not replace:
        if if_empty:
            click.echo(f"there is data already: {store.version()}")
            return
        raise InputError("there is data already: --if-empty leaves it, --replace replaces it")
    world = World(events, seed, until.replace(tzinfo=UTC))
    made = simulate(store, world)
    if made < world.events:
        told = f"passed over: {counted(world.events - made, 'event')} of forgotten shoppers"
        click.echo(told, err=True)
    click.echo(
        f"{made:,} events, {world.wines:,} wines, {world.shoppers:,} shoppers: {store.version()}"
    )
