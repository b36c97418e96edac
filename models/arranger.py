"""Lists by a storefront's rules: those that were ranked, and those of what is popular.

candidates, boosted beside them ─ scores ─┐
pinned, new                    ─ places ──┴─ fill ─ short? popular ones, then those over a cap
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.history import disliked
from features.ids import NO_HASHES, stable_hash
from models.batch import Batch
from models.candidates import CANDIDATES, Chosen, best
from models.items import Items
from models.parts import Floats, Rows
from models.personal import PersonalRanker
from models.reasons import POPULAR, Kind, Sources, because
from models.request import Listed, RankRequest, Spot
from models.rules.arrange import Contest, Filled, fill
from models.rules.compiled import Arrangement, CompiledRules, Turn
from models.segment_table import SegmentTable

_LIFTED = 20
"""Boosted items beside the candidates of each shopper, those that fit best."""

_MOST_DISLIKED = 20
_EMPTY: Rows = np.empty(0, np.int64)

Mask = npt.NDArray[np.bool_]


class Asked(NamedTuple):
    """One list, whoever ranked: how long, for whom, and when."""

    k: int
    user_id: str
    turn: Turn

    @property
    def seed(self) -> int:
        """Return what chance depends on."""
        return stable_hash(f"{self.turn.slot} {self.turn.after} {self.user_id}")


class _Field(NamedTuple):
    """The columns of a contest: item rows int64[g, c] and their scores float32[g, c].

    Behind `contenders` columns stand those whose places are reserved.
    """

    rows: Rows
    scores: Floats
    contenders: int


class Arranger:
    """Arranges the lists of one model."""

    def __init__(
        self,
        rules: CompiledRules,
        items: Items,
        segments: SegmentTable,
        personal: PersonalRanker | None,
    ) -> None:
        """Arrange `items`; without a personal part popular ones only, and none for variety."""
        self.rules = rules
        self._items = items
        self._segments = segments
        self._personal = personal

    def rank(self, batch: Batch, personal: PersonalRanker) -> list[Listed | None]:
        """Return each request's items, see `Model.rank`."""
        groups: dict[int, list[int]] = {}
        arrangements = [self.rules.at(each.page, each.turn) for each in batch.requests]
        for place, arrangement in enumerate(arrangements):
            groups.setdefault(id(arrangement), []).append(place)
        if batch.again is None and all(each is None for each in arrangements):
            return personal.rank(batch)
        users = personal.users(batch)
        longest = max(each.k for each in batch.requests)
        wide = personal.candidates(users, batch, max(CANDIDATES, longest))
        listed: list[Listed | None] = [None] * len(batch)
        for of in groups.values():
            places, arrangement = np.array(of), arrangements[of[0]]
            some = Chosen(wide.rows[places], wide.scores[places])
            if arrangement is None:
                lists = self._as_ranked(batch, personal, places, some)
            else:
                lists = self._arranged(batch, personal, arrangement, places, users[places], some)
            for place, each in zip(of, lists, strict=True):
                listed[place] = each if batch.counts[place] else None
        return listed

    def popular(
        self,
        segment: int,
        allowed: Mask,
        k: int,
        spot: Spot,
    ) -> Listed:
        """Return what the segment buys, arranged; `allowed` bool[items] may be shown."""
        arrangement = self.rules.at(spot.page, spot.turn)
        if arrangement is None:
            return self._segments.popular(segment, allowed, k)
        asked = Asked(k, spot.user_id, spot.turn)
        told = self._segments.popular(segment, allowed, CANDIDATES)
        if not told.rows:
            return told
        is_open = allowed.take(arrangement.pool)
        lifted = arrangement.pool[arrangement.lifted][is_open[arrangement.lifted]]
        lifted = np.setdiff1d(lifted, told.rows)
        popularity = self._segments.popularity(segment, lifted)
        lifted = lifted[np.argsort(-popularity, kind="stable")[:_LIFTED]]
        rows = np.concatenate((np.array(told.rows, np.int64), lifted))
        order = -np.arange(len(rows), dtype=np.float32)
        own = np.array(told.scores, np.float32)
        scores = np.concatenate((own, self._segments.popularity(segment, lifted)))
        sources = np.concatenate(
            (np.array(told.sources, np.int64), np.full(len(lifted), POPULAR - segment))
        )
        field = _Field(rows[None], order[None], len(rows))
        field, reserved, chances = self._reserved(arrangement, field, is_open[None], [asked])
        filled = self._filled(arrangement, field, reserved, [asked], None)
        lists = self._told(
            arrangement,
            field,
            filled,
            reserved,
            chances,
            np.pad(scores, (0, field.rows.shape[1] - len(rows)))[None],
            [asked],
        )
        ((columns, given, kinds, propensities),) = lists
        padded = np.pad(sources, (0, field.rows.shape[1] - len(rows)))
        listed = Listed(
            field.rows[0, columns].tolist(),
            given.tolist(),
            np.where(kinds > 0, kinds, padded[columns]).tolist(),
            propensities,
        )
        return self._completed(listed, arrangement, segment, allowed, k)

    def _as_ranked(
        self, batch: Batch, personal: PersonalRanker, places: Rows, some: Chosen
    ) -> list[Listed]:
        """Return lists that no rule arranges."""
        columns, scores = best(personal.scores(batch, some, places), some.rows.shape[1])
        rows = np.take_along_axis(some.rows, columns, axis=1)
        sources = self._again(batch, places, rows, personal.sources(batch, rows, places))
        there = (scores > -np.inf).sum(axis=1).tolist()
        ends = [
            min(batch.requests[place].k, most)
            for place, most in zip(places.tolist(), there, strict=True)
        ]
        return [
            Listed(row[:end], score[:end], source[:end])
            for row, score, source, end in zip(
                rows.tolist(), scores.tolist(), sources.tolist(), ends, strict=True
            )
        ]

    def _arranged(
        self,
        batch: Batch,
        personal: PersonalRanker,
        arrangement: Arrangement,
        places: Rows,
        users: Floats,
        some: Chosen,
    ) -> list[Listed]:
        requests = [batch.requests[place] for place in places.tolist()]
        asked = [Asked(each.k, each.user_id, each.turn) for each in requests]
        is_open = batch.open(places, arrangement)
        wide = self._with_lifted(personal, arrangement, users, is_open, some)
        scores = personal.scores(batch, wide, places)
        field = _Field(wide.rows, scores, scores.shape[1])
        field, reserved, chances = self._reserved(arrangement, field, is_open, asked)
        penalties = self._penalties(batch, personal, arrangement, places, field.rows)
        filled = self._filled(arrangement, field, reserved, asked, penalties)
        behind = field.rows.shape[1] - scores.shape[1]
        lists = self._told(
            arrangement,
            field,
            filled,
            reserved,
            chances,
            np.pad(np.where(scores > -np.inf, scores, 0), ((0, 0), (0, behind))),
            asked,
        )
        rows = np.take_along_axis(field.rows, np.maximum(filled.columns, 0), axis=1)
        sources = self._again(batch, places, rows, personal.sources(batch, rows, places))
        listed = []
        for number, (columns, given, kinds, propensities) in enumerate(lists):
            kept = np.flatnonzero(filled.columns[number, : asked[number].k] >= 0)
            told = Listed(
                field.rows[number, columns].tolist(),
                given.tolist(),
                np.where(kinds > 0, kinds, sources[number, kept]).tolist(),
                propensities,
            )
            listed.append(
                self._mended(batch, requests[number], int(places[number]), told, arrangement)
            )
        return listed

    def _with_lifted(
        self,
        personal: PersonalRanker,
        arrangement: Arrangement,
        users: Floats,
        is_open: Mask,
        some: Chosen,
    ) -> Chosen:
        """Return the candidates, and beside them the boosted items that fit best."""
        lifted = arrangement.pool[arrangement.lifted]
        if not len(lifted):
            return some
        scores = personal.fit(users, lifted)
        scores[~is_open[:, arrangement.lifted]] = -np.inf
        scores[(some.scores == -np.inf).all(axis=1)] = -np.inf  # nothing to rank by
        is_there = np.zeros(scores.shape, np.bool_)
        first = arrangement.lifted.start
        column = arrangement.column.take(some.rows) - first
        by, _ = np.nonzero((column >= 0) & (column < len(lifted)))
        is_there[by, column[(column >= 0) & (column < len(lifted))]] = True
        scores[is_there] = -np.inf
        chosen = best(scores, _LIFTED)
        return Chosen(
            np.concatenate((some.rows, lifted[chosen.rows]), axis=1),
            np.concatenate((some.scores, chosen.scores), axis=1),
        )

    def _reserved(
        self, arrangement: Arrangement, field: _Field, is_open: Mask, asked: Sequence[Asked]
    ) -> tuple[_Field, Rows, list[float]]:
        """Return the field with pinned and new items behind, and whose places are reserved.

        int64[g, k] columns, -1 where a place is free. What has a place competes for no other.
        Beside them, the probability with which each shopper's new items were drawn.
        """
        longest = max(each.k for each in asked)
        reserved = np.full((len(asked), longest), -1)
        extra: list[list[int]] = []
        chances = []
        for number, each in enumerate(asked):
            pinned = {
                place: column
                for place, column in zip(
                    (arrangement.positions - each.turn.after).tolist(),
                    arrangement.pins.tolist(),
                    strict=True,
                )
                if 0 <= place < each.k and is_open[number, column]
            }
            drawn, chance = _drawn(arrangement, is_open[number], each, pinned)
            chances.append(chance)
            extra.append([])
            for position, column in {**pinned, **drawn}.items():
                reserved[number, position] = field.contenders + len(extra[number])
                extra[number].append(int(arrangement.pool[column]))
        width = max(map(len, extra))
        if not width:
            return field, reserved, chances
        behind = np.array([each + [-1] * (width - len(each)) for each in extra], np.int64)
        scores = field.scores.copy()
        scores[(field.rows[:, :, None] == behind[:, None]).any(axis=2)] = -np.inf
        nothing = np.full(behind.shape, -np.inf, np.float32)
        joined = _Field(
            np.concatenate((field.rows, behind), axis=1),
            np.concatenate((scores, nothing), axis=1),
            field.contenders,
        )
        return joined, reserved, chances

    def _penalties(
        self,
        batch: Batch,
        personal: PersonalRanker,
        arrangement: Arrangement,
        places: Rows,
        rows: Rows,
    ) -> Floats | None:
        """Return float32[g, c]: how like each item is to what its shopper did not like."""
        dislikes = arrangement.rules.dislikes
        if not dislikes.any:
            return None
        told = disliked(batch.records, batch.by, arrangement.against, dislikes.stars_below)
        against = self._items.rows_of(told.items)
        known = against >= 0
        if not known.any():
            return None
        penalties = np.zeros(rows.shape, np.float32)
        bounds = np.searchsorted(told.by[known], np.arange(len(batch) + 1))
        weights, against = told.weights[known], against[known]
        for number, place in enumerate(places.tolist()):
            of = slice(max(bounds[place], bounds[place + 1] - _MOST_DISLIKED), bounds[place + 1])
            if of.start < of.stop:
                likeness = personal.directions(rows[number]) @ personal.directions(against[of]).T
                likeness[rows[number][:, None] == against[of]] = 1  # itself, whoever met it
                penalties[number] = (np.maximum(likeness, 0) * weights[of]).max(axis=1)
        return penalties

    def _filled(
        self,
        arrangement: Arrangement,
        field: _Field,
        reserved: Rows,
        asked: Sequence[Asked],
        penalties: Floats | None,
    ) -> Filled:
        rules, rows = arrangement.rules, field.rows
        is_various = rules.diversity > 0 and self._personal is not None
        return fill(
            Contest(
                field.scores,
                reserved,
                None if arrangement.lifts is None else arrangement.lifts.take(rows),
                penalties,
                None if arrangement.caps is None else self._items.categories_of(rows),
                arrangement.caps,
                self._personal.directions(rows) if is_various and self._personal else None,
                rules.diversity if is_various else 0.0,
                None if rules.rotation is None else rules.rotation.strength,
                () if rules.rotation is None else tuple(each.seed for each in asked),
            )
        )

    def _told(
        self,
        arrangement: Arrangement,
        field: _Field,
        filled: Filled,
        reserved: Rows,
        chances: Sequence[float],
        scores: Floats,
        asked: Sequence[Asked],
    ) -> list[tuple[Rows, Floats, Sources, list[float]]]:
        """Return of each list its columns, scores, kinds (0: as ranked), and propensities."""
        by_chance = arrangement.rules.every_s is not None
        pinned = set(arrangement.pool[arrangement.pins].tolist())
        lists = []
        for number, each in enumerate(asked):
            columns = filled.columns[number, : each.k]
            there = columns >= 0
            kept = columns[there]
            rows = field.rows[number, kept]
            is_reserved = reserved[number, : each.k][there] >= 0
            is_pinned = np.isin(rows, list(pinned)) & is_reserved
            kinds = np.zeros(len(kept), np.int64)
            if arrangement.lifts is not None:
                was_behind = filled.places[number, kept] > each.k
                kinds[was_behind & (arrangement.lifts.take(rows) > 0)] = because(Kind.PROMOTED)
            kinds[is_reserved] = because(Kind.EXPLORE)
            kinds[is_pinned] = because(Kind.PINNED)
            told = filled.propensities[number, : each.k][there].copy()
            told[is_reserved & ~is_pinned] = chances[number]
            lists.append((kept, scores[number, kept], kinds, told.tolist() if by_chance else []))
        return lists

    def _again(self, batch: Batch, places: Rows, rows: Rows, sources: Sources) -> Sources:
        """Return the sources, but of what was bought before that it may be bought again."""
        if batch.again is None or not len(batch.again[0]):
            return sources
        by, back = batch.again
        width = len(self._items)
        is_back = np.isin(places[:, None] * width + rows, by * width + back)
        return np.where(is_back, because(Kind.BUY_AGAIN), sources)

    def _mended(
        self,
        batch: Batch,
        request: RankRequest,
        place: int,
        listed: Listed,
        arrangement: Arrangement,
    ) -> Listed:
        """Return a list that has k items, as long as so many are allowed."""
        if len(listed.rows) >= request.k or not batch.counts[place]:
            return listed
        by, gone = batch.forbidden()
        allowed = self._items.allowed(request.filters, NO_HASHES, request.page)
        allowed[gone[by == place]] = False
        segment = int(batch.segments[place])
        return self._completed(listed, arrangement, segment, allowed, request.k)

    def _completed(
        self, listed: Listed, arrangement: Arrangement, segment: int, allowed: Mask, k: int
    ) -> Listed:
        """Add what is popular and under its cap, then what is over it. Changes `allowed`."""
        missing = k - len(listed.rows)
        if missing <= 0:
            return listed
        allowed = allowed.copy()
        allowed[listed.rows] = False
        if arrangement.caps is not None:
            listed = self._under_caps(listed, arrangement.caps, segment, allowed, missing)
            allowed[listed.rows] = False
            missing = k - len(listed.rows)
        more = self._segments.popular(segment, allowed, missing)
        return listed.then(more)

    def _under_caps(
        self, listed: Listed, caps: Rows, segment: int, allowed: Mask, missing: int
    ) -> Listed:
        """Add what is popular, one item after the other, as long as its category is open."""
        counts = np.bincount(
            self._items.categories_of(np.array(listed.rows, np.int64)), minlength=len(caps)
        )
        while missing > 0:
            full = np.flatnonzero(counts >= caps)
            under = allowed & ~self._items.category_mask(full)
            under[listed.rows] = False
            more = self._segments.popular(segment, under, missing)
            if not more.rows:
                break
            # As many as fit until a category is full; then what is left is looked at anew.
            taken = 0
            for row in more.rows:
                category = int(self._items.categories_of(np.array([row]))[0])
                if counts[category] >= caps[category]:
                    break
                counts[category] += 1
                taken += 1
            listed = listed.then(_cut(more, taken))
            missing -= taken
        return listed


def _drawn(
    arrangement: Arrangement, is_open: Mask, asked: Asked, pinned: dict[int, int]
) -> tuple[dict[int, int], float]:
    """Return new items (columns of the pool) by place, and how probable each of them was."""
    explore = arrangement.rules.explore
    if explore is None:
        return {}, 1.0
    fresh = np.flatnonzero(is_open[arrangement.fresh]) + arrangement.fresh.start
    free = [place for place in range(asked.k) if place not in pinned]
    chance = random.Random(asked.seed)  # noqa: S311 - no secret
    wanted = explore.share * asked.k
    count = int(wanted) + (chance.random() < wanted % 1)
    count = min(count, len(fresh), len(free))
    if not count:
        return {}, 1.0
    items = fresh[chance.sample(range(len(fresh)), count)].tolist()
    return dict(zip(chance.sample(free, count), items, strict=True)), count / len(fresh)


def _cut(listed: Listed, count: int) -> Listed:
    """Return the first items of a list of certain ones."""
    return Listed(listed.rows[:count], listed.scores[:count], listed.sources[:count])
