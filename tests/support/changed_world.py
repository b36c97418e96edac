"""The demo shop after its world has changed: the same wines and shoppers, other tastes.

What was dear to shoppers is not any more, and they come several times as often as before.
"""

import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from features.declared import FEATURE_NAMES, FEATURE_SET
from features.demo_shop.seasons import Calendar
from features.demo_shop.simulate import DAYS, World
from features.demo_shop.tables import DEVICES, events_table
from features.demo_shop.visits import Shop, visits_of
from features.demo_shop.world import make_kinds, make_shoppers, make_wines
from features.offline.store import OfflineStore
from features.skew.served import FOLDER, Served
from models.reference.rows import HOUR_MS
from models.reference.sample import COUNTRY, sample_rows

CHANGED_DAYS = 60


def change_world(home: Path, world: World, events: int) -> None:
    """Let two more months pass, with so many events of a world that is another."""
    other = world.seed + 1
    until = world.until + timedelta(days=CHANGED_DAYS)
    before = Calendar.ending(world.until, DAYS)
    wines = make_wines(world.seed, world.wines, before.start_ms, before.until_ms)
    strange = make_wines(other, world.wines, before.start_ms, before.until_ms)
    wines = replace(wines, appeal=strange.appeal, hidden=strange.hidden)
    shop = Shop.opened(wines, make_kinds(other), Calendar.ending(until, CHANGED_DAYS))
    shoppers = make_shoppers(world.seed, 0, world.buyers)
    targets = np.full(world.buyers, events // world.buyers)
    random = np.random.default_rng(other)
    happenings = visits_of(shop, replace(shoppers, joined=shoppers.joined * 0), targets, random)
    devices = random.integers(0, len(DEVICES), int(happenings.visit.max()) + 1)
    table = events_table(happenings, wines, shoppers, devices, other)
    OfflineStore(home).append_events(table)


def log_what_is_served(home: Path, hours: int, rows: int) -> None:
    """Write what serving would have logged in the last full hours, of shoppers as they are now."""
    log = OfflineStore(home).event_log()
    told = sample_rows(log, int(log.records["ts"].max()) + 1)
    assert told is not None
    now_ms = int(time.time() * 1_000)
    random = np.random.default_rng(0)
    lines = []
    for hour in range(hours):
        at_ms = (now_ms // HOUR_MS - hour - 1) * HOUR_MS + 1_000
        for row in random.choice(len(told), rows).tolist():
            values = [float(np.float32(told.values[name][row])) for name in FEATURE_NAMES]
            served = Served(
                f"shopper {told.shoppers[row]} {row}",
                at_ms,
                at_ms,
                None,
                None,
                FEATURE_SET.schema_hash,
                [None if np.isnan(each) else each for each in values],
                told.values[COUNTRY][row],
            )
            lines.append(served.line())
    path = home / FOLDER / "changed.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(lines))
