"""What a model is asked, and what it answers."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.events import Records
from features.moments import Moment

Hashes = npt.NDArray[np.uint64]

NO_HASHES: Hashes = np.empty(0, np.uint64)

POPULAR, POPULAR_IN_SEGMENT = -1, -2
"""Sources of an item that nothing in the shopper's history speaks for."""

BOUGHT_WITH = -1_000
"""`BOUGHT_WITH - row` is the source of an item that shares baskets with the item in that row."""


class Filters(NamedTuple):
    """What may be shown: any of `categories`, prices within both ends, only what is in stock."""

    categories: tuple[str, ...] | None = None
    price_min: float | None = None
    price_max: float | None = None
    in_stock: bool = True


ANY_IN_STOCK = Filters()


class RankRequest(NamedTuple):
    """One shopper to rank for: both rings (time-sorted), the moment, and what is asked.

    `excluded` holds hashes of items that must not be shown beside those the history forbids.
    `segment` is a row of the model's segments; where it is None the history tells, else what
    training knew of the shopper, else where they live.
    """

    user_id: str
    recent: Records
    history: Records
    moment: Moment
    k: int
    filters: Filters = ANY_IN_STOCK
    excluded: Hashes = NO_HASHES
    segment: int | None = None


class Listed(NamedTuple):
    """Items to show, best first: rows, scores, and for each the row that speaks for it.

    A source is the item of the shopper's history that spoke loudest, or the item that these are
    similar to, `POPULAR_IN_SEGMENT`, `POPULAR`, or made of `BOUGHT_WITH`.
    """

    rows: list[int]
    scores: list[float]
    sources: list[int]

    def then(self, other: "Listed") -> "Listed":
        """Return these items, and behind them the `other` ones."""
        return Listed(
            self.rows + other.rows, self.scores + other.scores, self.sources + other.sources
        )


class Ranking(NamedTuple):
    """What became of one request: the items, None where there is nothing to rank by.

    `segment` is the row of the shopper's, `blocked` the hashes their history forbids.
    """

    listed: Listed | None
    segment: int
    blocked: Hashes
