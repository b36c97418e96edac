"""What a model is asked, and what it answers."""

from collections.abc import Sequence
from itertools import count, islice
from typing import NamedTuple

from features.events import Records
from features.ids import NO_HASHES, Hashes
from features.moments import Moment
from models.rules.compiled import FIRST, Turn
from models.rules.declared import Page
from models.used import UsedRow


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
    training knew of a shopper who bought, rated and refused nothing since, else where they live.
    `page` and `turn` tell which rules hold.
    `recommendation_id` is what an answer that comes of it is to be called.
    """

    user_id: str
    recent: Records
    history: Records
    moment: Moment
    k: int
    filters: Filters = ANY_IN_STOCK
    excluded: Hashes = NO_HASHES
    segment: int | None = None
    page: Page = Page.OTHER
    turn: Turn = FIRST
    recommendation_id: str = ""


class Listed(NamedTuple):
    """Items to show, best first: rows, scores, and for each why, see `models.reasons`.

    `propensities` say how probable each item was at its place, a new one that has a place of its
    own in the list at all; empty where nothing was left to chance. What rules put in without
    ranking it has the score 0.
    """

    rows: list[int]
    scores: list[float]
    sources: list[int]
    propensities: Sequence[float] = ()

    def then(self, other: "Listed") -> "Listed":
        """Return these items, and behind them the `other` ones, those as certain."""
        chances = self.propensities
        return Listed(
            self.rows + other.rows,
            self.scores + other.scores,
            self.sources + other.sources,
            [*chances, *[1.0] * len(other.rows)] if chances else chances,
        )

    def at(self, places: Sequence[int]) -> "Listed":
        """Return the items where they belong: the first at `places`, from 0, others in between.

        Where there are too few to fill what is between, they close up.
        """
        free = (place for place in count() if place not in places)
        told = [*places, *islice(free, len(self.rows) - len(places))]
        order = sorted(range(len(told)), key=told.__getitem__)
        chances = self.propensities
        return Listed(
            [self.rows[each] for each in order],
            [self.scores[each] for each in order],
            [self.sources[each] for each in order],
            [chances[each] for each in order] if chances else chances,
        )


class Spot(NamedTuple):
    """Where a list is shown, when, and to whom: what a storefront's rules go by."""

    page: Page = Page.OTHER
    turn: Turn = FIRST
    user_id: str = ""


class Written(NamedTuple):
    """Items as they were written, and their propensities as in `Listed`."""

    items: bytes
    propensities: Sequence[float] = ()


class Ranking(NamedTuple):
    """What became of one request: the items, None where there is nothing to rank by.

    `segment` is the row of the shopper's, `blocked` the hashes their history forbids, `used` what
    the ranker was told of them, None where there was none.
    """

    listed: Listed | None
    segment: int
    blocked: Hashes
    used: UsedRow | None = None
