"""The ladder: cache, model, the shopper's segment, everybody. One of them always answers.

What must not be shown is not shown on any rung. Where the store cannot be asked, what this
process last saw of the shopper stands in for it. `server.climb` has the way of one request.
"""

from dataclasses import dataclass

import numpy as np

from features.ids import NO_HASHES, Hashes, stable_hashes
from features.moments import Moment
from features.online.store import ShopperQuery, ShopperRead, ShopperState
from models.model import Model
from models.request import Ranking, RankRequest, Spot
from models.rules.declared import Page
from monitoring.labels import CacheResult, Reason, Source
from monitoring.metrics import Metrics
from server.admission import ConcurrencyLimiter
from server.answer import Answer
from server.cache_writer import CacheWriter
from server.cached_answer import CachedAnswer, decode_cached, encode_cached
from server.current_model import CurrentModel
from server.held_back import HeldBack
from server.histories import Histories
from server.inference import Inference
from server.last_known import UNSEEN, LastKnown, Seen
from server.new_id import new_id
from server.pages import Pages, hashes_of
from server.query import Query
from server.reader import Reader

_GLOBAL = 0


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rungs, and what they share; every part can fail and the answer still comes."""

    models: CurrentModel
    gate: ConcurrencyLimiter
    reader: Reader
    inference: Inference
    canary_inference: Inference
    last_known: LastKnown
    held_back: HeldBack
    histories: Histories
    metrics: Metrics
    pages: Pages
    writer: CacheWriter

    def inference_of(self, model: Model) -> Inference:
        """Return what runs a model: a canary that is slow must keep no other shopper waiting."""
        return self.inference if model is self.models.model else self.canary_inference

    def request(
        self, query: Query, user_id: str, state: ShopperState, model: Model, spot: Spot
    ) -> RankRequest:
        """Return what the model is asked; `state` is that of `user_id`."""
        context = query.context
        moment = Moment(
            int(context.timestamp * 1_000), context.country, context.latitude, state.profile
        )
        return RankRequest(
            user_id,
            state.recent,
            state.history,
            moment,
            query.k,
            query.filters,
            _excluded(query),
            _named_segment(query, model),
            spot.page,
            spot.turn,
            new_id(),
        )

    def remember(self, query: Query, model: Model, told: Ranking | CachedAnswer) -> Seen:
        """Keep what the shopper must not be shown for when the store cannot be asked."""
        seen = Seen.of(told.blocked, model.segment_names[told.segment])
        self.last_known.remember(query.user_id, seen)
        return seen

    def popular(
        self,
        query: Query,
        model: Model,
        spot: Spot,
        reason: Reason | None,
        seen: Seen | None = None,
    ) -> Answer:
        """Return popular items: of the segment that the shopper was `seen` in, or is known by.

        Of whom no taste is known is shown what is liked by whoever likes the item they look at.
        """
        seen = seen or self._recalled(query)
        segment = _named_segment(query, model)
        if segment is None:
            segment = _segment_of(query, model, seen)
        excluded = _excluded(query)
        hidden = seen.hidden
        blocked = np.concatenate((hidden, excluded)) if len(excluded) else hidden
        items, propensities = self.pages.popular(query, model, segment, blocked, spot)
        source = Source.GLOBAL if segment == _GLOBAL else Source.SEGMENT
        return Answer(
            items,
            source,
            model.version,
            model.segment_names[segment],
            reason,
            spot.page,
            propensities,
        )

    def _recalled(self, query: Query) -> Seen:
        """Return what was last seen of the shopper, and of the session that may be theirs."""
        seen, session = self.last_known.recall(query.user_id), query.otherwise()
        theirs = UNSEEN if session is None else self.last_known.recall(session)
        return seen if theirs is UNSEEN else seen.beside(theirs)

    def true_answer(self, read: ShopperRead, model: Model) -> CachedAnswer | None:
        """Return the cached answer, None if there is none for this model and state."""
        if read.answer is None:
            self.metrics.cache(CacheResult.MISS)
            return None
        cached = decode_cached(read.answer, self.pages.stamp(model), read.state.revision)
        self.metrics.cache(CacheResult.HIT if cached else CacheResult.STALE)
        return cached

    def cache(
        self,
        asked: ShopperQuery,
        answer: CachedAnswer,
        model: Model,
        state: ShopperState,
        page: Page,
    ) -> None:
        """Keep `answer` as that to what was `asked`, for as long as it is true."""
        if self.writer.is_on:
            told = encode_cached(answer, self.pages.stamp(model), state.revision)
            self.writer.keep(asked, told, model.drawn_every_s(page))


def _named_segment(query: Query, model: Model) -> int | None:
    """Return the segment that the request names, None where it names none of this model's."""
    name = query.context.segment
    return None if name is None else model.segment_named(name)


def _segment_of(query: Query, model: Model, seen: Seen) -> int:
    """Return the segment a shopper was `seen` in, or else is known by, or what their page tells."""
    context = query.context
    segment = None if seen.segment is None else model.segment_named(seen.segment)
    if segment is None:
        segment = model.shared_segment(query.user_id, context.country)
    if context.item_id is None:
        return segment
    return model.segment_looked_at(segment, context.item_id)


def _excluded(query: Query) -> Hashes:
    """Return what the request excludes, the item whose page is shown, and what was shown before."""
    page_item = query.context.item_id
    named = query.exclude if page_item is None else (*query.exclude, page_item)
    hashes = stable_hashes(named) if named else NO_HASHES
    return np.concatenate((hashes, hashes_of(query.shown))) if query.shown else hashes
