"""What can be declared of an entity: the kinds of features, and the views that hold them.

A feature is one declaration. Its kind says how it is computed; `features.computation.vector`
computes all of them with the same code for one shopper online and for a table of moments offline.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy.typing as npt

from features.events import EventType
from features.moments import Moments

HOUR_S = 3_600
DAY_S = 86_400
LONGEST_S = 399 * DAY_S
"""A shopper who did nothing for so long is forgotten online: no feature may look further."""

LARGEST = 3.4028234663852886e38
"""The largest number of a vector, which holds float32: what is larger would be infinite."""


class Aggregation(StrEnum):
    """How the events of a window become one number."""

    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"
    DISTINCT = "distinct"
    """How many different items."""


COUNTS = frozenset((Aggregation.COUNT, Aggregation.DISTINCT))
"""Those that are whole numbers."""


class Dtype(StrEnum):
    """What a feature's numbers are; vectors hold all of them as float32."""

    FLOAT = "float"
    INT = "int"
    BOOL = "bool"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Declared:
    """What every feature says beside its meaning: its type, default and range.

    `default` is the value where nothing is known; `low` and `high` bound what is allowed, both
    included.
    """

    dtype: Dtype = Dtype.FLOAT
    default: float = 0.0
    low: float = 0.0
    high: float = math.inf


@dataclass(frozen=True, slots=True)
class Window(_Declared):
    """An aggregate over the shopper's events of the last `seconds`, of the given types."""

    name: str
    aggregation: Aggregation
    types: tuple[EventType, ...]
    seconds: int
    description: str

    def __post_init__(self) -> None:
        """Take words for what they name, and make a number of events, or of items, a whole one."""
        if self.aggregation in set(Aggregation):
            object.__setattr__(self, "aggregation", Aggregation(self.aggregation))
        if self.aggregation in COUNTS:
            object.__setattr__(self, "dtype", Dtype.INT)


@dataclass(frozen=True, slots=True)
class Recency(_Declared):
    """Seconds since the latest event of the given types, at most `default`."""

    name: str
    types: tuple[EventType, ...]
    description: str


@dataclass(frozen=True, slots=True)
class Profile(_Declared):
    """A number of the shopper's own record, under the same name."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class OnDemand(_Declared):
    """What is computed from the request itself; `compute` returns n numbers, NaN for unknown."""

    name: str
    compute: Callable[[Moments], npt.NDArray[Any]]
    description: str


Feature = Window | Recency | Profile | OnDemand


@dataclass(frozen=True, slots=True)
class Entity:
    """What features describe, and the column of tables by which they are joined to it."""

    name: str
    join_key: str
    description: str


@dataclass(frozen=True, slots=True)
class FeatureView:
    """Features of one entity that belong together; events older than `ttl_s` say nothing."""

    name: str
    entity: Entity
    features: tuple[Feature, ...]
    ttl_s: int
    owner: str
    description: str
