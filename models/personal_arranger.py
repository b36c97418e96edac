"""Lists that were ranked, by a storefront's rules.

candidates, boosted beside them ─ scores ─┐
pinned, new                    ─ places ──┴─ contest ─ short? popular ones, then those over a cap
                                                       (ranked ones first)
"""

from collections.abc import Iterator

import numpy as np

from features.ids import NO_HASHES
from models.batch import Batch
from models.candidates import CANDIDATES, Chosen, best
from models.completer import Completer
from models.contests import Contests
from models.dislikes import penalties
from models.items import Items, Mask
from models.lifted import with_lifted
from models.parts import Floats, Rows
from models.personal import PersonalRanker
from models.reasons import Sources
from models.request import Listed, RankRequest
from models.rules.arranged import arranged
from models.rules.asked import Asked
from models.rules.compiled import Arrangement, CompiledRules
from models.rules.contenders import Contenders
from models.rules.reserved import reserve


class PersonalArranger:
    """Arranges what one model ranks."""

    def __init__(
        self,
        rules: CompiledRules,
        items: Items,
        personal: PersonalRanker,
        contests: Contests,
        completer: Completer,
    ) -> None:
        """Follow `rules` with what `personal` ranks."""
        self._rules = rules
        self._items = items
        self._personal = personal
        self._contests = contests
        self._completer = completer

    def rank(self, batch: Batch) -> list[Listed | None]:
        """Return each request's items, see `Model.rank`."""
        groups: dict[int, list[int]] = {}
        arrangements = [self._rules.at(each.page, each.turn) for each in batch.requests]
        for place, arrangement in enumerate(arrangements):
            groups.setdefault(id(arrangement), []).append(place)
        if batch.again is None and all(each is None for each in arrangements):
            return self._personal.rank(batch)
        users = self._personal.users(batch)
        longest = max(each.k for each in batch.requests)
        wide = self._personal.candidates(users, batch, max(CANDIDATES, longest))
        listed: list[Listed | None] = [None] * len(batch)
        for of in groups.values():
            places, arrangement = np.array(of), arrangements[of[0]]
            some = Chosen(wide.rows[places], wide.scores[places])
            if arrangement is None:
                lists = self._as_ranked(batch, places, some)
            else:
                lists = self._arranged(batch, arrangement, places, users[places], some)
            for place, each in zip(of, lists, strict=True):
                listed[place] = each if batch.counts[place] else None
        return listed

    def _as_ranked(self, batch: Batch, places: Rows, some: Chosen) -> Iterator[Listed]:
        """Yield lists that no rule arranges."""
        columns, scores = best(self._personal.scores(batch, some, places), some.rows.shape[1])
        rows = np.take_along_axis(some.rows, columns, axis=1)
        sources = self._sources(batch, places, rows)
        there = (scores > -np.inf).sum(axis=1).tolist()
        for place, most, *told in zip(
            places.tolist(), there, rows.tolist(), scores.tolist(), sources.tolist(), strict=True
        ):
            end = min(batch.requests[place].k, most)
            yield Listed(*(column[:end] for column in told))

    def _arranged(
        self, batch: Batch, arrangement: Arrangement, places: Rows, users: Floats, some: Chosen
    ) -> Iterator[Listed]:
        """Yield lists by the rules of one arrangement."""
        requests = [batch.requests[place] for place in places.tolist()]
        asked = [Asked(each.k, each.user_id, each.turn) for each in requests]
        is_open = batch.open(places, arrangement)
        wide = with_lifted(self._personal, arrangement, users, is_open, some)
        scores = self._personal.scores(batch, wide, places)
        contenders, reserved = reserve(
            arrangement, Contenders(wide.rows, scores, scores.shape[1]), is_open, asked
        )
        against = penalties(
            batch, self._items, self._personal, arrangement, places, contenders.rows
        )
        filled = self._contests.decide(arrangement, contenders, reserved, asked, against)
        rows = np.take_along_axis(contenders.rows, np.maximum(filled.columns, 0), axis=1)
        sources = self._sources(batch, places, rows)
        shown = np.where(scores > -np.inf, scores, 0)
        lists = arranged(arrangement, contenders, filled, reserved, shown, asked)
        for number, each in enumerate(lists):
            request, place = requests[number], int(places[number])
            is_there = filled.columns[number, : request.k] >= 0
            told = each.listed(contenders.rows[number], sources[number, : request.k][is_there])
            if each.left is not None and batch.counts[place]:
                rows = contenders.rows[number, each.left.columns]
                why = self._sources(batch, np.array([place]), rows[None])[0]
                left = each.left.listed(contenders.rows[number], why)
                told = self._completed(batch, request, place, told, arrangement, left)
                told = told.at(each.places)
            yield told

    def _sources(self, batch: Batch, places: Rows, rows: Rows) -> Sources:
        """Return why each item int64[g, k] is shown that was ranked."""
        return self._as_back(batch, places, rows, self._personal.sources(batch, rows, places))

    def _as_back(self, batch: Batch, places: Rows, rows: Rows, sources: Sources) -> Sources:
        """Return the sources; of what was bought or rated before, that it was."""
        if batch.again is None or not len(batch.again[0]):
            return sources
        by, back, why = batch.again
        width = len(self._items)
        shown = places[:, None] * width + rows
        for source in np.unique(why).tolist():
            of = why == source
            is_back = np.isin(shown, by[of] * width + back[of])
            sources = np.where(is_back, source, sources)
        return sources

    def _completed(
        self,
        batch: Batch,
        request: RankRequest,
        place: int,
        listed: Listed,
        arrangement: Arrangement,
        left: Listed,
    ) -> Listed:
        """Return a list that has k items, as long as so many are allowed.

        Of what fills it up what is popular has another measure than what was ranked: no score.
        """
        allowed = self._allowed(batch, request, place)
        segment = int(batch.segments[place])
        told = self._completer.complete(listed, arrangement, segment, allowed, request.k, left)
        rows, sources = np.array([told.rows], np.int64), np.array([told.sources], np.int64)
        were_ranked = np.isin(rows, listed.rows + left.rows)
        back = self._as_back(batch, np.array([place]), rows, sources)
        return told._replace(
            scores=np.where(were_ranked, told.scores, 0.0)[0].tolist(),
            sources=np.where(were_ranked, sources, back)[0].tolist(),
        )

    def _allowed(self, batch: Batch, request: RankRequest, place: int) -> Mask:
        by, gone = batch.forbidden()
        allowed = self._items.allowed(request.filters, NO_HASHES, request.page)
        allowed[gone[by == place]] = False
        return allowed
