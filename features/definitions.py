"""The features of a shopper at a moment, as they are declared; adding one is adding a line.

A store that wants others writes a file like this one and names it in CUVEE_FEATURES; it may begin
with `from features.definitions import VIEWS`.
"""

from features.events import EventType
from features.feature import (
    DAY_S,
    HOUR_S,
    Aggregation,
    Dtype,
    Entity,
    FeatureView,
    OnDemand,
    Profile,
    Recency,
    Window,
)
from features.history import RECENT_TYPES
from features.on_demand import (
    at_home,
    hour,
    is_weekend,
    latitude,
    location_known,
    month,
    weekday,
)

SHOPPER = Entity("shopper", "user_id", "Who is asking: a customer, or a session before login.")

_YEAR_S = 365 * DAY_S
_CLICK = (EventType.CLICK,)
_CART = (EventType.ADD_TO_CART,)
_PURCHASE = (EventType.PURCHASE,)
_SESSION = (EventType.SESSION,)
_RATING = (EventType.RATING,)
_ACTIONS = tuple(kind for kind in EventType if kind in RECENT_TYPES)
_LOOKED = (EventType.CLICK, EventType.ADD_TO_CART, EventType.PURCHASE)
_COUNT, _SUM, _MEAN, _DISTINCT = Aggregation
_INT, _BOOL = Dtype.INT, Dtype.BOOL

BEHAVIOUR = FeatureView(
    "behaviour",
    SHOPPER,
    (
        Window("recent_click_count", _COUNT, _CLICK, 7 * DAY_S, "Clicks in 7 days."),
        Window("clicks_last_hour", _COUNT, _CLICK, HOUR_S, "Clicks in the last hour."),
        Window("recent_cart_count", _COUNT, _CART, 7 * DAY_S, "Items put in the basket in 7 days."),
        Window("recent_purchase_count", _COUNT, _PURCHASE, 30 * DAY_S, "Items bought in 30 days."),
        Window("items_last_day", _DISTINCT, _LOOKED, DAY_S, "Different items looked at in a day."),
        Window("recent_spend", _SUM, _PURCHASE, 30 * DAY_S, "Money spent in 30 days."),
        Window("avg_purchase_value", _MEAN, _PURCHASE, _YEAR_S, "Mean price paid in a year."),
        Window("avg_session_duration", _MEAN, _SESSION, 30 * DAY_S, "Mean session, seconds."),
        Window("rating_count", _COUNT, _RATING, _YEAR_S, "Ratings given in a year."),
        Window(
            "avg_rating", _MEAN, _RATING, _YEAR_S, "Mean stars in a year.", default=3.75, high=5
        ),
        Recency(
            "time_since_last_action", _ACTIONS, "Seconds since the last event.", default=_YEAR_S
        ),
        Recency(
            "time_since_last_purchase",
            _PURCHASE,
            "Seconds since the last purchase.",
            default=_YEAR_S,
        ),
    ),
    ttl_s=_YEAR_S,
    owner="recommendations",
    description="What the shopper did, from the events that are kept of them.",
)
REQUEST = FeatureView(
    "request",
    SHOPPER,
    (
        OnDemand("hour", hour, "Hour of the day, UTC.", dtype=_INT, high=23),
        OnDemand("weekday", weekday, "Day of the week, Monday 0.", dtype=_INT, high=6),
        OnDemand("month", month, "Month of the year.", dtype=_INT, default=1, low=1, high=12),
        OnDemand("is_weekend", is_weekend, "Saturday or Sunday.", dtype=_BOOL, high=1),
        OnDemand("latitude", latitude, "Degrees north.", low=-90, high=90),
        OnDemand("location_known", location_known, "A place is told.", dtype=_BOOL, high=1),
        OnDemand("at_home", at_home, "It is the shopper's own country.", dtype=_BOOL, high=1),
    ),
    ttl_s=_YEAR_S,
    owner="recommendations",
    description="What the request itself tells: its time in UTC, and where it comes from.",
)
PROFILE = FeatureView(
    "profile",
    SHOPPER,
    (
        Profile("age", "Age in years.", dtype=_INT, high=130),
        Profile("marketing_opt_in", "Reads our mail.", dtype=_BOOL, high=1),
    ),
    ttl_s=_YEAR_S,
    owner="recommendations",
    description="What the shop knows of the shopper beside the events.",
)

VIEWS = (BEHAVIOUR, REQUEST, PROFILE)
"""Every view; vectors have their features in this order."""
