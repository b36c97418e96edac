"""One request on the ladder: from its query to its answer, whatever is late or broken.

             ┌─ cached, and true for this model and state ──────────── source cache
admit ─ read ┼─ ranked by the model in time ────────────────────────── source model
             └─ stranger, late, broken, too much ─ reason ─ popular in source segment | global

It waits as an object that is called, first with what was read, then with what was ranked: a task
would cost as much as the rest of a cached answer.
"""

import logging
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from features.online.store import ShopperQuery, ShopperRead, ShopperState
from models.model import Model
from models.request import Ranking, RankRequest
from monitoring.labels import ErrorKind, Reason, Source, Stage
from server.admission import Admission
from server.answer import Answer
from server.cached_answer import CachedAnswer
from server.coalescer import SaturatedError
from server.last_known import Seen
from server.query import Query
from server.spot import spot_of

if TYPE_CHECKING:
    from server.recommender import Recommender

log = logging.getLogger(__name__)

Told = TypeVar("Told")


class Climb:
    """A request that was let in; `then` hears of its answer, or of what went wrong inside, once."""

    __slots__ = (
        *("_admission", "_asked", "_deadline", "_model", "_parts", "_query"),
        *("_reading", "_request", "_spot", "_started", "_state", "_then"),
    )

    def __init__(
        self,
        parts: "Recommender",
        query: Query,
        model: Model,
        deadline: float,
        then: Callable[[Answer | Exception], None],
    ) -> None:
        """Take a place at the gate."""
        self._spot = spot_of(query, model)
        self._admission = parts.gate.enter()
        self._started = self._reading = monotonic()
        self._parts = parts
        self._query = query
        self._model = model
        self._deadline = deadline
        self._then = then
        self._asked: ShopperQuery
        self._state: ShopperState
        self._request: RankRequest

    def begin(self) -> None:
        """Take the first step."""
        self._step(self._admitted, self._admission)

    def _admitted(self, admission: Admission) -> Answer | None:
        if admission is Admission.LADDER:
            return self._popular(Reason.OVERLOAD)
        query = self._query
        bucket = query.bucket(self._spot.turn)
        self._asked = ShopperQuery(query.user_id, bucket, query.otherwise())
        self._reading = monotonic()
        self._parts.reader.read(self._asked, self._deadline, self._on_read)
        return None

    def _on_read(self, read: ShopperRead | Reason) -> None:
        self._step(self._read, read)

    def _read(self, read: ShopperRead | Reason) -> Answer | None:
        parts, model = self._parts, self._model
        parts.metrics.stage(Stage.READ, monotonic() - self._reading)
        if isinstance(read, Reason):
            return self._popular(read)
        if read.instead is not None:
            self._asked = read.instead
        if cached := parts.true_answer(read, model):
            segment = model.segment_names[cached.segment]
            return Answer(
                cached.items,
                Source.CACHE,
                model.version,
                segment,
                page=self._spot.page,
                propensities=cached.propensities,
            )
        if not read.state.known:
            parts.last_known.forget(self._query.user_id)
            return self._popular(Reason.UNKNOWN_USER)
        self._state = read.state
        self._request = parts.request(
            self._query, self._asked.user_id, read.state, model, self._spot
        )
        parts.inference_of(model).rank(model, self._request, self._deadline, self._on_ranked)
        return None

    def _on_ranked(self, outcome: Ranking | Exception) -> None:
        self._step(self._ranked, outcome)

    def _ranked(self, outcome: Ranking | Exception) -> Answer:
        parts, query, model = self._parts, self._query, self._model
        if isinstance(outcome, Exception):
            return parts.popular(query, model, self._spot, self._why(outcome), self._seen())
        seen = parts.remember(query, model, outcome)
        if outcome.listed is None:
            return parts.popular(query, model, self._spot, _why_not_ranked(model), seen)
        listed = outcome.listed
        if (trial := parts.models.trial) is not None:
            trial.offer(model, self._request, listed)
        items = parts.pages.written(query, model, listed)
        made = CachedAnswer(items, outcome.segment, tuple(listed.propensities))
        parts.cache(self._asked, made, model, self._state)
        return Answer(
            made.items,
            Source.MODEL,
            model.version,
            seen.segment,
            page=self._spot.page,
            propensities=made.propensities,
        )

    def _seen(self) -> Seen | None:
        """Return what must not be shown, None where what was read of the shopper says nothing."""
        try:
            (shopper,) = self._model.shoppers(self._model.batch([self._request]))
        except Exception:  # there is an answer all the same
            log.exception("nothing can be told of a shopper's history")
            return None
        return self._parts.remember(self._query, self._model, shopper)

    def _why(self, error: Exception) -> Reason:
        if isinstance(error, TimeoutError):
            return Reason.DEADLINE
        if isinstance(error, SaturatedError):
            return Reason.OVERLOAD
        # Whatever is wrong with the model, there is an answer.
        log.error("model %s failed", self._model.version, exc_info=error)
        self._parts.metrics.error(ErrorKind.MODEL)
        return Reason.MODEL_ERROR

    def _popular(self, reason: Reason) -> Answer:
        return self._parts.popular(self._query, self._model, self._spot, reason)

    def _step(self, step: Callable[[Told], Answer | None], told: Told) -> None:
        """Take a step; end if it gives an answer, or fails."""
        try:
            answer = step(told)
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            self._end(error)
        else:
            if answer is not None:
                self._end(answer)

    def _end(self, outcome: Answer | Exception) -> None:
        self._parts.gate.leave(self._admission, self._started, monotonic())
        if isinstance(outcome, Answer) and outcome.reason is not None:
            self._parts.metrics.fallback(outcome.reason)
        self._then(outcome)


def _why_not_ranked(model: Model) -> Reason | None:
    """Return why a known shopper gets popular items: None where training had too little data."""
    if not model.is_whole:
        return Reason.MODEL_ERROR
    return Reason.UNKNOWN_USER if model.is_personal else None
