"""What is known of each item at a moment: how it sells, since when, how it is liked, its price."""

import numpy as np
import numpy.typing as npt

from features.catalogue import Catalogue
from models.dataset import Interactions
from models.parts import Floats
from models.popularity import DAY_MS
from models.ranker_features import ITEM_STATS

_SHRINKAGE = 10.0
"""Weight of the mean grade of all items in that of one, in graded events."""

_WINDOWS_DAYS = {
    "log_events_14d": 14,
    "log_events_30d": 30,
    "log_events_90d": 90,
    "log_events_180d": 180,
    "log_events_365d": 365,
}


def item_stats(catalogue: Catalogue, pairs: Interactions, at_ms: int) -> Floats:
    """Return float32[items, len(ITEM_STATS)] as known at a moment; `pairs` lie before it."""
    days = (at_ms - pairs.ts) / DAY_MS
    counts = {name: _count(pairs, days < limit) for name, limit in _WINDOWS_DAYS.items()}
    every = _count(pairs, np.ones(len(pairs), bool))
    columns = {name: np.log1p(count) for name, count in counts.items()}
    columns |= {
        "log_events": np.log1p(every),
        # Sales of late beside those of the year: above 0 for what is rising.
        "trend": np.log1p(counts["log_events_90d"] * 365 / 90)
        - np.log1p(counts["log_events_365d"]),
        "mean_grade": _mean_grade(pairs, every),
        "age_days": _age(pairs, days),
        "log_price": _log_price(catalogue.price),
    }
    stats = np.column_stack([columns[name] for name in ITEM_STATS])
    return np.ascontiguousarray(stats, np.float32)


def _count(pairs: Interactions, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    return np.bincount(pairs.items[chosen], minlength=pairs.item_count)


def _mean_grade(pairs: Interactions, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    total = np.bincount(pairs.items, pairs.grades, minlength=pairs.item_count)
    mean = float(pairs.grades.mean()) if len(pairs) else 0.0
    shrunk: npt.NDArray[np.float64] = (total + _SHRINKAGE * mean) / (counts + _SHRINKAGE)
    return shrunk


def _age(pairs: Interactions, days: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return days since anyone met the item, 0 where no one has."""
    age = np.zeros(pairs.item_count)
    np.maximum.at(age, pairs.items, days)
    return age


def _log_price(price: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the logarithm of each price, that of the median where it is unknown."""
    known = price[np.isfinite(price)]
    usual = float(np.median(known)) if len(known) else 0.0
    return np.log1p(np.maximum(np.where(np.isfinite(price), price, usual), 0.0).astype(np.float64))
