"""What is popular, by a storefront's rules."""

from typing import NamedTuple

import numpy as np

from models.candidates import CANDIDATES
from models.completer import Completer
from models.contests import Contests
from models.items import Mask
from models.lifted import most_popular_lifted
from models.parts import Floats, Rows
from models.reasons import Sources
from models.request import Listed, Spot
from models.rules.arranged import arranged
from models.rules.asked import Asked
from models.rules.compiled import Arrangement, CompiledRules
from models.rules.contenders import Contenders
from models.rules.reserved import reserve
from models.segment_table import SegmentTable


class _Popular(NamedTuple):
    """What a segment buys, best first: rows, shares and sources of items, each [c]."""

    rows: Rows
    scores: Floats
    sources: Sources


class PopularArranger:
    """Arranges what the segments of one model buy."""

    def __init__(
        self,
        rules: CompiledRules,
        segments: SegmentTable,
        contests: Contests,
        completer: Completer,
    ) -> None:
        """Follow `rules`."""
        self._rules = rules
        self._segments = segments
        self._contests = contests
        self._completer = completer

    def popular(self, segment: int, allowed: Mask, k: int, spot: Spot) -> Listed:
        """Return what the segment buys, arranged; `allowed` bool[items] may be shown."""
        arrangement = self._rules.at(spot.page, spot.turn)
        if arrangement is None:
            return self._segments.popular(segment, allowed, k)
        told = self._segments.popular(segment, allowed, CANDIDATES)
        if not told.rows:
            return told
        asked = Asked(k, spot.user_id, spot.turn)
        listed, left, places = self._arranged(arrangement, segment, told, allowed, asked)
        if left is None:
            return listed
        whole = self._completer.complete(listed, arrangement, segment, allowed, k, left)
        return whole.at(places)

    def _arranged(
        self, arrangement: Arrangement, segment: int, told: Listed, allowed: Mask, asked: Asked
    ) -> tuple[Listed, Listed | None, list[int]]:
        """Return what is listed, what is left where that is short, and the places of the list."""
        is_open = allowed.take(arrangement.pool)
        popular = self._with_lifted(arrangement, segment, told, is_open)
        order = -np.arange(len(popular.rows), dtype=np.float32)
        contenders, reserved = reserve(
            arrangement,
            Contenders(popular.rows[None], order[None], len(order)),
            is_open[None],
            [asked],
        )
        filled = self._contests.decide(arrangement, contenders, reserved, [asked])
        (only,) = arranged(arrangement, contenders, filled, reserved, popular.scores[None], [asked])
        sources = popular.sources.take(only.columns, mode="clip")  # what stands behind has a kind
        listed, left = only.listed(contenders.rows[0], sources), None
        if only.left is not None:
            left = only.left.listed(contenders.rows[0], popular.sources[only.left.columns])
        return listed, left, only.places

    def _with_lifted(
        self, arrangement: Arrangement, segment: int, told: Listed, is_open: Mask
    ) -> _Popular:
        """Return what is popular, and behind it the boosted items that sell best."""
        lifted = most_popular_lifted(self._segments, segment, arrangement, is_open, told.rows)
        own, shares = np.array(told.scores, np.float32), self._segments.popularity(segment, lifted)
        sources = self._segments.sources(segment, lifted)
        return _Popular(
            np.concatenate((np.array(told.rows, np.int64), lifted)),
            np.concatenate((own, shares)),
            np.concatenate((np.array(told.sources, np.int64), sources)),
        )
