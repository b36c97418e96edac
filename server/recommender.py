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
import numpy.typing as npt

from features.events import Records
from features.history import blocked_items, merge_rings
from features.ids import stable_hashes
from features.online import OnlineStore, ShopperQuery, ShopperRead, ShopperState
from features.vector import Moment
from models.model import Model
from models.request import RankRequest
from monitoring.labels import CacheResult, ErrorKind, Reason, Source, Stage
from monitoring.metrics import Metrics
from server.admission import Admission, Gate
from server.answer import Answer, encode_items
from server.background import Background
from server.cached_answer import CachedAnswer, decode_cached, encode_cached
from server.coalescer import SaturatedError
from server.current_model import CurrentModel
from server.deadline import Deadline
from server.inference import Inference, Ranked
from server.last_known import LastKnown, Seen
from server.query import Query
from server.reader import Reader, ReadFailedError

log = logging.getLogger(__name__)

LADDER_RESERVE_S = 0.005
"""Kept back from the deadline for the answer from the ladder, should the model be late."""

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
        """Return an answer before `deadline`.

        Raises `UnavailableError` where there is no model at all, or past the hard limit.
        """
        model = self.models.require()
        admission = self.gate.enter()
        try:
            if admission is Admission.LADDER:
                answer = self._popular(query, model, Reason.OVERLOAD)
            else:
                answer = await self._climb(query, model, deadline)
        finally:
            self.gate.leave()
        if answer.reason is not None:
            self.metrics.fallback(answer.reason)
        return answer

    async def _climb(self, query: Query, model: Model, deadline: Deadline) -> Answer:
        asked = ShopperQuery(query.user_id, query.bucket())
        started = monotonic()
        try:
            read = await self.reader.read(asked, deadline)
        except ReadFailedError as error:
            return self._popular(query, model, error.reason)
        finally:
            self.metrics.stage(Stage.READ, monotonic() - started)
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
        started = monotonic()
        seen, request = self._prepare(query, state, model)
        self.last_known.remember(query.user_id, seen)
        prepared = monotonic()
        self.metrics.stage(Stage.FEATURES, prepared - started)
        ranked = await self._ranked(model, request, deadline)
        self.metrics.stage(Stage.RANK, monotonic() - prepared)
        if isinstance(ranked, Reason):
            return self._popular(query, model, ranked, seen)
        if ranked is None:
            return self._popular(query, model, _why_not_ranked(model), seen)
        items = encode_items(ranked)
        self._cache(asked, CachedAnswer(items, request.segment), model, state)
        segment = model.segment_names[request.segment]
        return Answer(items, Source.MODEL, model.version, segment)

    async def _ranked(
        self, model: Model, request: RankRequest, deadline: Deadline
    ) -> Ranked | Reason:
        try:
            return await self.inference.rank(model, request, deadline.at - LADDER_RESERVE_S)
        except TimeoutError:
            return Reason.DEADLINE
        except SaturatedError:
            return Reason.OVERLOAD
        except Exception:  # whatever is wrong with the model, there is an answer
            log.exception("model %s failed", model.version)
            self.metrics.error(ErrorKind.MODEL)
            return Reason.MODEL_ERROR

    def _prepare(self, query: Query, state: ShopperState, model: Model) -> tuple[Seen, RankRequest]:
        records = merge_rings(state.recent, state.history)
        blocked = blocked_items(records)
        context = query.context
        segment = _named_segment(query, model)
        if segment is None:
            segment = model.segment_of(records) or _shared_segment(query, model, state)
        request = RankRequest(
            records=records,
            moment=Moment(
                _as_of_ms(query, records), context.country, context.latitude, state.profile
            ),
            blocked=_with_excluded(blocked, query),
            k=query.k,
            segment=segment,
            filters=query.filters,
        )
        return Seen(blocked, model.segment_names[segment]), request

    def _popular(
        self, query: Query, model: Model, reason: Reason | None, seen: Seen | None = None
    ) -> Answer:
        seen = seen or self.last_known.recall(query.user_id)
        segment = _named_segment(query, model)
        if segment is None and seen.segment is not None:
            segment = model.segment_named(seen.segment)
        if segment is None:
            segment = _shared_segment(query, model, None)
        blocked = _with_excluded(seen.blocked, query)
        items = encode_items(model.popular(segment, blocked, query.filters, query.k))
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
        value = encode_cached(answer, model.version, state.revision)
        ttl_s = self.cache_ttl_s * random.uniform(1 - _TTL_JITTER, 1)  # noqa: S311 - no secret
        if ttl_s > 0:
            self.background.spawn(
                lambda: self.store.put_answer(asked, value, ttl_s), ErrorKind.CACHE_WRITE
            )


def _why_not_ranked(model: Model) -> Reason | None:
    """Return why a known shopper gets popular items: None where training had too little data."""
    if not model.is_whole:
        return Reason.MODEL_ERROR
    return Reason.UNKNOWN_USER if model.is_personal else None


def _as_of_ms(query: Query, records: Records) -> int:
    """Return the request's moment, but after the shopper's last event: clocks of pages differ."""
    told = int(query.context.timestamp * 1_000)
    return max(told, int(records["ts"][-1]) + 1) if len(records) else told


def _named_segment(query: Query, model: Model) -> int | None:
    """Return the segment that the request names, None where it names none of this model's."""
    name = query.context.segment
    return None if name is None else model.segment_named(name)


def _shared_segment(query: Query, model: Model, state: ShopperState | None) -> int:
    """Return the segment training put the shopper in, else their market's, else everybody."""
    country = query.context.country or (state and state.profile.get("country"))
    return model.segment_in_table(query.user_id) or model.market_segment(country)


def _with_excluded(blocked: npt.NDArray[np.uint64], query: Query) -> npt.NDArray[np.uint64]:
    """Return `blocked`, what the request excludes, and the item whose page is shown."""
    page_item = query.context.item_id
    named = query.exclude if page_item is None else (*query.exclude, page_item)
    return np.concatenate((blocked, stable_hashes(named))) if named else blocked
