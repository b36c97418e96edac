"""The closed label sets of the metrics: no path, id or message ever becomes a label."""

from enum import StrEnum

from models.rules.declared import Page

__all__ = [
    "SHOPPER_ROUTES",
    "BreakerState",
    "CacheResult",
    "ErrorKind",
    "EventResult",
    "LogKind",
    "Page",
    "Reason",
    "Route",
    "Source",
    "Stage",
]


class Route(StrEnum):
    """What was called, by the name of its handler."""

    RECOMMENDATIONS = "recommendations"
    EVENTS = "events"
    SIMILAR = "similar"
    BOUGHT_TOGETHER = "bought_together"
    POPULAR = "popular"
    USER = "user"
    MERGE = "merge"
    MODELS = "models"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    V2 = "v2"
    INFER = "infer"
    CANARY = "canary"
    WINDOW = "window"
    HEALTH = "health"
    READY = "ready"
    METRICS = "metrics"
    DOCS = "docs"
    UI = "ui"
    UNMATCHED = "unmatched"


SHOPPER_ROUTES = frozenset(
    {Route.RECOMMENDATIONS, Route.SIMILAR, Route.BOUGHT_TOGETHER, Route.POPULAR}
)
"""Routes a page waits for: only these can be slow requests."""


class Source(StrEnum):
    """The rung of the ladder that answered."""

    CACHE = "cache"
    MODEL = "model"
    SEGMENT = "segment"
    GLOBAL = "global"


class Reason(StrEnum):
    """Why a request was answered from below the model."""

    FEATURE_TIMEOUT = "feature_timeout"
    FEATURE_ERROR = "feature_error"
    UNKNOWN_USER = "unknown_user"
    MODEL_ERROR = "model_error"
    OVERLOAD = "overload"
    DEADLINE = "deadline"
    FALLBACK_SHARE = "fallback_share"


class Stage(StrEnum):
    """A timed part of one recommendation."""

    READ = "read"
    FEATURES = "features"
    RANK = "rank"
    ENCODE = "encode"


class CacheResult(StrEnum):
    """What the cached answer was worth: stale means present but no longer true."""

    HIT = "hit"
    MISS = "miss"
    STALE = "stale"


class ErrorKind(StrEnum):
    """What went wrong inside, whether or not the shopper still got a list."""

    INTERNAL = "internal"
    STORE = "store"
    STORE_TIMEOUT = "store_timeout"
    STORE_FULL = "store_full"
    STORE_VALUE = "store_value"
    MODEL = "model"
    BUNDLE = "bundle"
    EVENT_LOG = "event_log"
    PREDICTION_LOG = "prediction_log"
    CACHE_WRITE = "cache_write"
    BACKGROUND = "background"


class EventResult(StrEnum):
    """What became of an event that was sent in."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"


class Variant(StrEnum):
    """Which model a shopper gets while one is on trial."""

    CONTROL = "control"
    CANARY = "canary"


class Outcome(StrEnum):
    """What became of a request while a model is on trial."""

    RANKED = "ranked"
    CACHED = "cached"
    FALLBACK = "fallback"
    EMPTY = "empty"
    ERROR = "error"


class CanaryMove(StrEnum):
    """What was done with a model on trial without anybody telling so."""

    ADVANCE = "advance"
    STOP = "stop"


class BreakerState(StrEnum):
    """Whether the online store is being asked; `Metrics.breaker` maps it to 0, 1, 2."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


class LogKind(StrEnum):
    """What is written beside the answers, and may be dropped."""

    SERVICE = "service"
    FEATURES = "features"
    LISTS = "lists"
