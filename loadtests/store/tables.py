"""The tables of the join: a simulated shop, labels, and values for a peer to read."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from features.demo_shop.seasons import Calendar
from features.demo_shop.simulate import DAYS, DEFAULT_UNTIL, World, event_batches, user_batches
from features.demo_shop.tables import items_table
from features.demo_shop.visits import Shop
from features.demo_shop.world import make_kinds, make_wines
from features.history import RECENT_CAP
from features.offline.batches import as_frame
from features.offline.store import OfflineStore
from features.training.labels import read_labels
from features.training.training_set import write_training_set

KEY, MOMENT = "user_id", "event_timestamp"
_WEEK_MS = 7 * 86_400_000
_FEATURE = "recent_click_count"


@dataclass(frozen=True, slots=True)
class Tables:
    """A home with tables, and the labels to be joined: columns row, user_id, event_timestamp."""

    home: Path
    labels: Path
    rows: int

    @property
    def values(self) -> Path:
        """Return where the values for a peer are: what was known at the moment of each event."""
        return self.labels.with_name("values.parquet")


def make_tables(folder: Path, events: int, rows: int, each: int, seed: int = 7) -> Tables:
    """Simulate `events`, about `each` a shopper, and draw `rows` labels.

    Each label is up to a week after an event, of its shopper.
    """
    world = World(events, seed, DEFAULT_UNTIL, each)
    store = OfflineStore(folder / "home")
    calendar = Calendar.ending(world.until, DAYS)
    wines = make_wines(seed, world.wines, calendar.start_ms, calendar.until_ms)
    store.replace("items", items_table(wines))
    store.replace("users", user_batches(world))
    shop = Shop.opened(wines, make_kinds(seed), calendar)
    drawn = _Drawn(event_batches(world, shop), events, rows, seed)
    store.replace("events", iter(drawn))
    tables = Tables(folder / "home", folder / "labels.parquet", rows)
    drawn.labels().write_parquet(tables.labels)
    return tables


def write_values(tables: Tables) -> None:
    """Write what was known of each shopper at the moment of each of their events."""
    store = OfflineStore(tables.home)
    query = f"select {KEY}, arrived_at as {MOMENT} from events"
    write_training_set(store, read_labels(store, query, MOMENT), tables.values)


def expected(tables: Tables) -> pl.DataFrame:
    """Return what a peer has to find: of each label the latest values not after its moment."""
    values = pl.read_parquet(tables.values).sort(MOMENT)
    labels = pl.read_parquet(tables.labels).sort(MOMENT)
    return labels.join_asof(values, on=MOMENT, by=KEY, check_sortedness=False).sort("row")


def clicks(tables: Tables, rows: int) -> pl.DataFrame:
    """Return the clicks in the week before each of the first `rows` labels: row, and how many.

    They are counted by a join of the tables, of shoppers who did so little that all of it is kept.
    """
    labels = pl.scan_parquet(tables.labels).head(rows)
    week = pl.duration(days=7)
    kept = pl.col("type") != "impression"
    events = OfflineStore(tables.home).scan("events").filter(kept)
    seen = labels.join(events.select(KEY, "type", "arrived_at"), on=KEY)
    seen = seen.filter(pl.col("arrived_at") < pl.col(MOMENT))
    in_week = pl.col("arrived_at") >= pl.col(MOMENT) - week
    counted = seen.group_by("row").agg(
        pl.len().alias("events"), ((pl.col("type") == "click") & in_week).sum().alias(_FEATURE)
    )
    return counted.filter(pl.col("events") <= RECENT_CAP).select("row", _FEATURE).collect()


class _Drawn:
    """A stream of events, and so many of them, drawn at random as they pass."""

    def __init__(
        self, batches: Iterator[pa.RecordBatch], events: int, rows: int, seed: int
    ) -> None:
        """Draw `rows` of `events`."""
        self._batches = batches
        self._random = np.random.default_rng(seed)
        self._places = np.sort(self._random.integers(0, events, rows))
        self._some: list[pa.RecordBatch] = []

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield all events."""
        begin = 0
        for batch in self._batches:
            end = begin + batch.num_rows
            first, last = self._places.searchsorted((begin, end))
            chosen = pa.array(self._places[first:last] - begin)
            self._some.append(batch.select([KEY, "arrived_at"]).take(chosen))
            begin = end
            yield batch

    def labels(self) -> pl.DataFrame:
        """Return a label for each that was drawn, up to a week after it, in no order."""
        drawn = as_frame(pa.Table.from_batches(self._some))
        later = pl.lit(self._random.integers(1, _WEEK_MS, len(drawn)))
        return drawn.select(
            pl.int_range(pl.len()).alias("row"),
            KEY,
            (pl.col("arrived_at") + pl.duration(milliseconds=later)).alias(MOMENT),
        ).sample(fraction=1.0, shuffle=True, seed=1)
