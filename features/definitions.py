"""The declared features of a shopper at a moment: names, meaning, defaults, allowed ranges.

A feature is one declaration here. Its kind says how it is computed; `features.vector` computes
all of them with the same code for one shopper online and for a table of moments offline.
The schema hash of the ordered declarations binds training sets, bundles and servers together.
"""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from hashlib import blake2b

from features.events import EventType
from features.history import GRADED_ITEMS, HISTORY_CAP, RECENT_CAP

HOUR_S = 3_600
DAY_S = 86_400


class Aggregation(StrEnum):
    """How the events of a window become one number."""

    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"


@dataclass(frozen=True, slots=True)
class Window:
    """An aggregate over the shopper's events of the last `seconds`, of the given types."""

    name: str
    aggregation: Aggregation
    types: tuple[EventType, ...]
    seconds: int
    description: str
    default: float = 0.0
    kind: str = "window"


@dataclass(frozen=True, slots=True)
class Recency:
    """Seconds since the latest event of the given types; `default` where there is none."""

    name: str
    types: tuple[EventType, ...]
    description: str
    default: float
    kind: str = "recency"


@dataclass(frozen=True, slots=True)
class Temporal:
    """A part of the request's time, in UTC."""

    name: str
    description: str
    default: float = 0.0
    kind: str = "temporal"


@dataclass(frozen=True, slots=True)
class Location:
    """What the request's location says, beside the shopper's profile."""

    name: str
    description: str
    default: float = 0.0
    kind: str = "location"


@dataclass(frozen=True, slots=True)
class Profile:
    """A number of the shopper's own record, under the same name."""

    name: str
    description: str
    default: float = 0.0
    kind: str = "profile"


Feature = Window | Recency | Temporal | Location | Profile

_CLICK = (EventType.CLICK,)
_PURCHASE = (EventType.PURCHASE,)
_NEVER_S = float(365 * DAY_S)
_ACTIONS = tuple(kind for kind in EventType if kind is not EventType.IMPRESSION)

FEATURES: tuple[Feature, ...] = (
    Window("recent_click_count", Aggregation.COUNT, _CLICK, 7 * DAY_S, "Clicks in 7 days."),
    Window("clicks_last_hour", Aggregation.COUNT, _CLICK, HOUR_S, "Clicks in the last hour."),
    Window(
        "recent_cart_count",
        Aggregation.COUNT,
        (EventType.ADD_TO_CART,),
        7 * DAY_S,
        "Items put in the basket in 7 days.",
    ),
    Window(
        "recent_purchase_count",
        Aggregation.COUNT,
        _PURCHASE,
        30 * DAY_S,
        "Items bought in 30 days.",
    ),
    Window("recent_spend", Aggregation.SUM, _PURCHASE, 30 * DAY_S, "Money spent in 30 days."),
    Window(
        "avg_purchase_value",
        Aggregation.MEAN,
        _PURCHASE,
        365 * DAY_S,
        "Mean price paid per item in a year.",
    ),
    Window(
        "avg_session_duration",
        Aggregation.MEAN,
        (EventType.SESSION,),
        30 * DAY_S,
        "Mean session length in 30 days, seconds.",
    ),
    Window(
        "rating_count",
        Aggregation.COUNT,
        (EventType.RATING,),
        365 * DAY_S,
        "Ratings given in a year.",
    ),
    Window(
        "avg_rating",
        Aggregation.MEAN,
        (EventType.RATING,),
        3_650 * DAY_S,
        "Mean stars given in ten years.",
        default=3.75,
    ),
    Recency("time_since_last_action", _ACTIONS, "Seconds since the last event.", _NEVER_S),
    Recency("time_since_last_purchase", _PURCHASE, "Seconds since the last purchase.", _NEVER_S),
    Temporal("hour", "Hour of the day, 0 to 23, UTC."),
    Temporal("weekday", "Day of the week, Monday 0 to Sunday 6."),
    Temporal("month", "Month, 1 to 12."),
    Temporal("is_weekend", "1 on Saturday and Sunday."),
    Location("latitude", "Degrees north; 0 where unknown."),
    Location("location_known", "1 where the request says where it comes from."),
    Location("at_home", "1 where the request's country is the shopper's own."),
    Profile("age", "Age in years; 0 where unknown."),
    Profile("marketing_opt_in", "1 where the shopper reads our mail."),
)
"""Every feature, in the order of the vector's columns."""

FEATURE_NAMES = tuple(feature.name for feature in FEATURES)


def schema_hash(features: tuple[Feature, ...] = FEATURES) -> str:
    """Return the hash, 16 hex digits, of everything that decides a feature vector's values."""
    declared = {
        "caps": [RECENT_CAP, HISTORY_CAP, GRADED_ITEMS],
        "features": [asdict(feature) for feature in features],
    }
    text = json.dumps(declared, sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=8).hexdigest()
