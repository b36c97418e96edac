"""The shoppers of the online part: 200 events each, 50 of them of items that they graded.

Drawn from a seed, so that every run does the same work. `values_of` tells what their features are
without a store between, for both sides to be held against.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from features.computation.point_in_time import known_at
from features.declared import FEATURE_NAMES
from features.eventlog import EventLog
from features.events import RECORD, TYPE_CODES, VALUE_SCALE, EventType, Records
from features.history import GRADED_ITEMS, RECENT_CAP
from features.ids import stable_hashes
from features.moments import Moment

AS_OF_MS = 1_760_000_000_000
COUNTRY, LATITUDE = "FR", 45.5
PROFILE: Mapping[str, Any] = {"country": COUNTRY, "age": 34, "marketing_opt_in": 1}
ITEMS = 10_000

_SPAN_MS = 30 * 86_400_000
_GRADED = (EventType.PURCHASE, EventType.RATING)
_OTHERS = (EventType.CLICK, EventType.ADD_TO_CART, EventType.SESSION)


def user_ids(count: int) -> list[str]:
    """Return the ids of the first `count` shoppers."""
    return [f"shopper-{number:06d}" for number in range(count)]


def moment(profile: Mapping[str, Any] = PROFILE) -> Moment:
    """Return the moment that features are asked for, of a shopper with this profile."""
    return Moment(AS_OF_MS, COUNTRY, LATITUDE, profile)


def histories(count: int, seed: int = 5) -> Iterator[tuple[str, Records]]:
    """Yield the id and the events of each shopper, oldest first."""
    random = np.random.default_rng(seed)
    items = stable_hashes([f"item-{row:06d}" for row in range(ITEMS)])
    for number, user_id in enumerate(user_ids(count)):
        records = np.zeros(RECENT_CAP, RECORD)
        records["ts"] = AS_OF_MS - 1 - np.sort(random.integers(0, _SPAN_MS, RECENT_CAP))[::-1]
        records["item"] = items[random.choice(ITEMS, RECENT_CAP, replace=False)]
        records["value"] = random.integers(1, 5 * VALUE_SCALE, RECENT_CAP)
        ids = number * RECENT_CAP + np.arange(RECENT_CAP)
        records["tag"] = (ids % (1 << 28)) << 4 | _kinds(random)
        yield user_id, records


def values_of(shoppers: list[tuple[str, Records]]) -> pl.DataFrame:
    """Return a row for each shopper: id, moment, and every feature."""
    users, records = zip(*shoppers, strict=True)
    sizes = [len(each) for each in records]
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)))
    log = EventLog(users, offsets, np.concatenate(records))
    pairs = known_at(log, range(len(users)), [moment()] * len(users))
    return pl.DataFrame({"user_id": users}).with_columns(
        pl.lit(datetime.fromtimestamp(AS_OF_MS / 1_000, UTC)).alias("event_timestamp"),
        *pl.DataFrame(pairs.vectors().values, FEATURE_NAMES),
    )


def _kinds(random: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int64]]:
    graded = random.choice([TYPE_CODES[kind] for kind in _GRADED], GRADED_ITEMS)
    others = random.choice([TYPE_CODES[kind] for kind in _OTHERS], RECENT_CAP - GRADED_ITEMS)
    return random.permutation(np.concatenate((graded, others)))
