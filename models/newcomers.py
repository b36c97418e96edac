"""Newcomers of the past: what was best to show them decides what newcomers are shown.

Where they live is all that is known of them, if that is. Of what everybody wants it is decided how
fast it fades, and whether it is all they met or what they met first; and whether what a market
wants tells more. That is measured span by span of the past: by those who had met nothing when it
began, and what they wanted until it ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from models.dataset import POSITIVE, Interactions
from models.metrics import Doubles, best_new, quality
from models.parts import Rows
from models.popularity import ALL_TIME_DAYS
from models.segments import MARKET_PRIOR, Codes, Crowds, everybodys, market_popularity

LEAST_NEWCOMERS = 100
"""Fewer decide nothing."""

MOST_NEWCOMERS = 1_000
"""More of a span are not asked: they would say the same."""

FIRSTS = (None, 10)
HALF_LIVES_DAYS = (30.0, 90.0, 180.0, 365.0, 730.0, ALL_TIME_DAYS)
MARKET_PRIORS = (100.0, 400.0, MARKET_PRIOR, 6_400.0)

_NOTHING: Rows = np.empty(0, np.int64)
_EVERYBODY = [
    Crowds(half_life_days, firsts, None) for firsts in FIRSTS for half_life_days in HALF_LIVES_DAYS
]


@dataclass(frozen=True, slots=True)
class Newcomers:
    """Shoppers who had met nothing at a cut: `wanted` holds the rows of what they wanted later.

    `known` is what others had met by then, `users` int64[n] are their numbers.
    """

    known: Interactions
    cut_ms: int
    users: Rows
    wanted: tuple[Rows, ...]

    def __len__(self) -> int:
        """Return the number of shoppers."""
        return len(self.users)

    @classmethod
    def between(cls, known: Interactions, later: Interactions, cut_ms: int) -> Self:
        """Return who had met nothing at a cut, and wanted something by a later moment.

        `known` are the pairs of the cut, `later` those of that moment; at most `MOST_NEWCOMERS`,
        evenly from all of them.
        """
        is_new = known.counts() == 0
        told = later.only(is_new[later.users] & (later.grades >= POSITIVE))
        users = np.unique(told.users)
        users = users[:: -(-len(users) // MOST_NEWCOMERS)] if len(users) else users
        bounds = np.searchsorted(told.users, users), np.searchsorted(told.users, users, "right")
        wanted = tuple(told.items[begin:end] for begin, end in zip(*bounds, strict=True))
        return cls(known, cut_ms, users, wanted)

    def lists(self, crowds: Crowds, markets: Codes) -> list[Rows]:
        """Return the best rows for each, as `Segments` that are made by `crowds` have them.

        `markets` int32[shoppers] is where each lives, -1 where that is not known.
        """
        tables = everybodys(self.known, self.cut_ms, crowds)[None]
        groups: Rows = np.zeros(len(self), np.int64)
        if crowds.market_prior is not None and len(markets):
            by_market = market_popularity(self.known, markets, self.cut_ms, crowds)
            tables = np.vstack((tables, by_market))
            groups = 1 + markets[self.users].astype(np.int64)
        return best_new(tables, groups, (_NOTHING,) * len(self))


class Trials:
    """What each way to count was worth to the newcomers of several spans, in order of time."""

    def __init__(self, spans: Sequence[Newcomers], markets: Codes) -> None:
        """Ask those of `spans`, who live in `markets`; nothing is computed twice."""
        self._spans = spans
        self._markets = markets
        self._by_user: dict[tuple[Crowds, int], Doubles] = {}

    def best(self, spans: int) -> Crowds:
        """Return what was best for those of the first so many spans, the usual for too few."""
        everybody, by_market = self._tried(spans)
        if by_market:
            return self._best(by_market, spans)
        if everybody:
            return replace(self._best(everybody, spans), market_prior=MARKET_PRIOR)
        return Crowds()

    def told(self) -> dict[str, dict[str, float]]:
        """Return NDCG@10 of all newcomers by what was tried."""
        spans = len(self._spans)
        everybody, by_market = self._tried(spans)
        told = {
            "ndcg@10_by_half_life": {_title(each): self._ndcg(each, spans) for each in everybody},
            "ndcg@10_by_market_prior": {
                _prior(each): self._ndcg(each, spans) for each in by_market
            },
        }
        return {name: each for name, each in told.items() if each}

    def _tried(self, spans: int) -> tuple[list[Crowds], list[Crowds]]:
        """Return the ways to count everybody, and markets beside the best of them.

        Empty where those of the first so many spans are too few to tell.
        """
        told = self._spans[:spans]
        if sum(map(len, told)) < LEAST_NEWCOMERS:
            return [], []
        if sum(int((self._markets[each.users] >= 0).sum()) for each in told) < LEAST_NEWCOMERS:
            return _EVERYBODY, []
        best = self._best(_EVERYBODY, spans)
        return _EVERYBODY, [best, *(replace(best, market_prior=each) for each in MARKET_PRIORS)]

    def _best(self, tried: Sequence[Crowds], spans: int) -> Crowds:
        return max(tried, key=lambda each: self._ndcg(each, spans))

    def _ndcg(self, crowds: Crowds, spans: int) -> float:
        return float(np.concatenate([self._of(crowds, span) for span in range(spans)]).mean())

    def _of(self, crowds: Crowds, span: int) -> Doubles:
        """Return NDCG@10 of each newcomer of a span, float64[newcomers]."""
        if (crowds, span) not in self._by_user:
            asked = self._spans[span]
            lists = asked.lists(crowds, self._markets)
            told = quality(lists, asked.wanted, asked.known.met()).by_user
            self._by_user[crowds, span] = told
        return self._by_user[crowds, span]


def _title(crowds: Crowds) -> str:
    days = "all time" if crowds.half_life_days >= ALL_TIME_DAYS else f"{crowds.half_life_days:g}"
    return days if crowds.firsts is None else f"{days}, first {crowds.firsts}"


def _prior(crowds: Crowds) -> str:
    return "no markets" if crowds.market_prior is None else f"{crowds.market_prior:g}"
