"""What a model is asked, and what it answers."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from features.events import Records
from features.vector import Moment


@dataclass(frozen=True, slots=True)
class Filters:
    """What may be shown: any of `categories`, prices within both ends, only what is in stock."""

    categories: tuple[str, ...] | None = None
    price_min: float | None = None
    price_max: float | None = None
    in_stock: bool = True


@dataclass(frozen=True, slots=True)
class RankRequest:
    """One shopper to rank for: events (time-sorted), the moment, and what may not be shown.

    `blocked` holds item hashes, uint64[n] of any order; `segment` is a row of the model's
    segments, whose popularity the ranker sees.
    """

    records: Records
    moment: Moment
    blocked: npt.NDArray[np.uint64]
    k: int
    segment: int = 0
    filters: Filters = field(default_factory=Filters)


@dataclass(frozen=True, slots=True)
class RankedItem:
    """One item of an answer.

    `reason` is `similar_to:ITEM` (the item of the shopper's history that spoke loudest for it),
    `popular_in_segment` or `popular`.
    """

    item_id: str
    score: float
    reason: str
