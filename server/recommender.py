"""The ladder: cache, model, the shopper's segment, everybody. One of them always answers.

             ┌─ cached, and true for this model and state ──────────── source cache
admit ─ read ┼─ ranked by the model in time ────────────────────────── source model
             └─ stranger, late, broken, too much ─ reason ─ popular in source segment | global

What must not be shown is not shown on any rung. Where the store cannot be asked, what this
process last saw of the shopper stands in for it.
"""

import logging
import random
from dataclasses import dataclass
from time import monotonic

import numpy as np

from features.ids import stable_hashes
from features.online import OnlineStore, ShopperQuery, ShopperRead, ShopperState
from features.vector import Moment
from models.model import Model
from models.request import NO_HASHES, Hashes, Ranking, RankRequest
from monitoring.labels import CacheResult, ErrorKind, Reason, Source, Stage
from monitoring.metrics import Metrics
from server.admission import Admission, Gate
from server.answer import Answer
from server.background import Background
from server.cached_answer import CachedAnswer, decode_cached, encode_cached
from server.coalescer import SaturatedError
from server.current_model import CurrentModel
from server.deadline import Deadline
from server.inference import Inference
from server.last_known import LastKnown, Seen
from server.query import Query
from server.reader import Reader

log = logging.getLogger(__name__)

_TTL_JITTER = 0.1
_GLOBAL = 0


@dataclass(frozen=True, slots=True)
class Recommender:
    """Answers queries; every part can fail and the answer still comes."""

    models: CurrentModel
    gate: Gate
    reader: Reader
    inference: Inference
    store: OnlineStore
    last_known: LastKnown
    background: Background
    metrics: Metrics
    cache_ttl_s: float

    async def recommend(self, query: Query, deadline: Deadline) -> Answer:
        """Return an answer, personal if it is before `deadline`.

        Raises `UnavailableError` where there is no model at all, or past the hard limit.
        """
        model = self.models.require()
        admission, started = self.gate.enter(), monotonic()
        try:
            if admission is Admission.LADDER:
                answer = self._popular(query, model, Reason.OVERLOAD)
            else:
                answer = await self._climb(query, model, deadline)
        finally:
            self.gate.leave(admission, started, monotonic())
        if answer.reason is not None:
            self.metrics.fallback(answer.reason)
        return answer

    async def _climb(self, query: Query, model: Model, deadline: Deadline) -> Answer:
        asked = ShopperQuery(query.user_id, query.bucket())
        started = monotonic()
        read = await self.reader.read(asked, deadline)
        self.metrics.stage(Stage.READ, monotonic() - started)
        if isinstance(read, Reason):
            return self._popular(query, model, read)
        if cached := self._true_answer(read, model):
            segment = model.segment_names[cached.segment]
            return Answer(cached.items, Source.CACHE, model.version, segment)
        if not read.state.known:
            self.last_known.forget(query.user_id)
            return self._popular(query, model, Reason.UNKNOWN_USER)
        return await self._rank(query, asked, read.state, model, deadline)

    async def _rank(
        self,
        query: Query,
        asked: ShopperQuery,
        state: ShopperState,
        model: Model,
        deadline: Deadline,
    ) -> Answer:
        request = _request(query, state, model)
        ranking = await self._ranked(model, request, deadline)
        if isinstance(ranking, Reason):
            (shopper,) = model.shoppers(model.batch([request]))
            return self._popular(query, model, ranking, self._remember(query, model, shopper))
        seen = self._remember(query, model, ranking)
        if ranking.listed is None:
            return self._popular(query, model, _why_not_ranked(model), seen)
        items = model.json(ranking.listed)
        self._cache(asked, CachedAnswer(items, ranking.segment), model, state)
        return Answer(items, Source.MODEL, model.version, seen.segment)

    async def _ranked(
        self, model: Model, request: RankRequest, deadline: Deadline
    ) -> Ranking | Reason:
        try:
            return await self.inference.rank(model, request, deadline.at)
        except TimeoutError:
            return Reason.DEADLINE
        except SaturatedError:
            return Reason.OVERLOAD
        except Exception:  # whatever is wrong with the model, there is an answer
            log.exception("model %s failed", model.version)
            self.metrics.error(ErrorKind.MODEL)
            return Reason.MODEL_ERROR

    def _remember(self, query: Query, model: Model, ranking: Ranking) -> Seen:
        seen = Seen.of(ranking.blocked, model.segment_names[ranking.segment])
        self.last_known.remember(query.user_id, seen)
        return seen

    def _popular(
        self, query: Query, model: Model, reason: Reason | None, seen: Seen | None = None
    ) -> Answer:
        seen = seen or self.last_known.recall(query.user_id)
        segment = _named_segment(query, model)
        if segment is None and seen.segment is not None:
            segment = model.segment_named(seen.segment)
        if segment is None:
            segment = model.shared_segment(query.user_id, query.context.country)
        excluded = _excluded(query)
        blocked = np.concatenate((seen.blocked, excluded)) if len(excluded) else seen.blocked
        items = model.popular_json(segment, blocked, query.filters, query.k)
        source = Source.GLOBAL if segment == _GLOBAL else Source.SEGMENT
        return Answer(items, source, model.version, model.segment_names[segment], reason)

    def _true_answer(self, read: ShopperRead, model: Model) -> CachedAnswer | None:
        if read.answer is None:
            self.metrics.cache(CacheResult.MISS)
            return None
        cached = decode_cached(read.answer, model.version, read.state.revision)
        self.metrics.cache(CacheResult.HIT if cached else CacheResult.STALE)
        return cached

    def _cache(
        self, asked: ShopperQuery, answer: CachedAnswer, model: Model, state: ShopperState
    ) -> None:
        if not self.cache_ttl_s:
            return
        value = encode_cached(answer, model.version, state.revision)
        ttl_s = self.cache_ttl_s * random.uniform(1 - _TTL_JITTER, 1)  # noqa: S311 - no secret
        self.background.spawn(
            lambda: self.store.put_answer(asked, value, ttl_s), ErrorKind.CACHE_WRITE
        )


def _why_not_ranked(model: Model) -> Reason | None:
    """Return why a known shopper gets popular items: None where training had too little data."""
    if not model.is_whole:
        return Reason.MODEL_ERROR
    return Reason.UNKNOWN_USER if model.is_personal else None


def _request(query: Query, state: ShopperState, model: Model) -> RankRequest:
    context = query.context
    return RankRequest(
        query.user_id,
        state.recent,
        state.history,
        Moment(int(context.timestamp * 1_000), context.country, context.latitude, state.profile),
        query.k,
        query.filters,
        _excluded(query),
        _named_segment(query, model),
    )


def _named_segment(query: Query, model: Model) -> int | None:
    """Return the segment that the request names, None where it names none of this model's."""
    name = query.context.segment
    return None if name is None else model.segment_named(name)


def _excluded(query: Query) -> Hashes:
    """Return what the request excludes, and the item whose page is shown."""
    page_item = query.context.item_id
    named = query.exclude if page_item is None else (*query.exclude, page_item)
    return stable_hashes(named) if named else NO_HASHES
