"""One request on the ladder: from its query to its answer, whatever is late or broken.

             ┌─ cached, and true for this model and state ──────────── source cache
admit ─ read ┼─ ranked by the model in time ────────────────────────── source model
             └─ stranger, late, broken, held back ─ reason ─ popular in source segment | global

It waits as an object that is called, first with what was read, then with what was ranked: a task
would cost as much as the rest of a cached answer.
"""

import logging
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from features.online.store import STRANGER, ShopperQuery, ShopperRead
from models.model import Model
from models.request import Ranking, RankRequest
from monitoring.labels import ErrorKind, Reason, Source
from server.admission import Admission
from server.answer import Answer
from server.cached_answer import CachedAnswer
from server.coalescer import SaturatedError
from server.inference import ModelFailedError
from server.ladder import Ladder
from server.last_known import Seen
from server.query import Query
from server.spot import spot_of

log = logging.getLogger(__name__)

Told = TypeVar("Told")

_UNTOLD = "nothing can be told of a shopper's history"


class Climb:
    """A request that was let in; `then` hears of its answer, or of what went wrong inside, once."""

    __slots__ = (
        "_admission",
        "_asked",
        "_deadline",
        "_ladder",
        "_model",
        "_query",
        "_request",
        "_spot",
        "_started",
        "_state",
        "_then",
    )

    def __init__(
        self,
        ladder: Ladder,
        query: Query,
        model: Model,
        deadline: float,
        then: Callable[[Answer | Exception], None],
    ) -> None:
        """Take a place at the gate."""
        self._spot = spot_of(query, model)
        self._admission = ladder.gate.enter()
        self._started = monotonic()
        self._ladder = ladder
        self._query = query
        self._model = model
        self._deadline = deadline
        self._then = then
        self._asked: ShopperQuery
        self._state = STRANGER
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
        self._ladder.reader.read(self._asked, self._deadline, self._on_read)
        return None

    def _on_read(self, read: ShopperRead | Reason) -> None:
        self._step(self._read, read)

    def _read(self, read: ShopperRead | Reason) -> Answer | None:
        ladder, model = self._ladder, self._model
        if isinstance(read, Reason):
            return self._popular(read)
        if read.instead is not None:
            self._asked = read.instead
        self._state = read.state
        held = ladder.held_back.end and ladder.held_back.has(self._query.user_id)
        if not held and (cached := ladder.true_answer(read, model)):
            seen = ladder.remember(self._query, model, cached)
            return Answer(
                cached.items,
                Source.CACHE,
                model.version,
                seen.segment,
                page=self._spot.page,
                propensities=cached.propensities,
            )
        if not read.state.known:
            ladder.last_known.forget(self._query.user_id)
            return self._popular(Reason.UNKNOWN_USER)
        if held:
            ladder.histories.look(model, self._to_rank(), self._deadline, self._on_looked)
            return None
        self._request = self._to_rank()
        ladder.inference_of(model).rank(model, self._request, self._deadline, self._on_ranked)
        return None

    def _on_looked(self, outcome: Ranking | Exception) -> None:
        self._step(self._held_back, outcome)

    def _held_back(self, outcome: Ranking | Exception) -> Answer:
        if isinstance(outcome, Exception):
            if not isinstance(outcome, TimeoutError | SaturatedError):
                log.error(_UNTOLD, exc_info=outcome)
            return self._popular(Reason.FALLBACK_SHARE)
        seen = self._ladder.remember(self._query, self._model, outcome)
        return self._popular(Reason.FALLBACK_SHARE, seen)

    def _on_ranked(self, outcome: Ranking | Exception) -> None:
        self._step(self._ranked, outcome)

    def _ranked(self, outcome: Ranking | Exception) -> Answer:
        ladder, query, model = self._ladder, self._query, self._model
        if isinstance(outcome, Exception):
            return self._popular(self._why(outcome), self._seen())
        seen = ladder.remember(query, model, outcome)
        if outcome.listed is None:
            return self._popular(_why_not_ranked(model), seen)
        listed = outcome.listed
        if (trial := ladder.models.trial) is not None:
            trial.offer(model, self._request, listed)
        items = ladder.pages.written(query, model, listed)
        chances = tuple(listed.propensities)
        made = CachedAnswer(items, outcome.segment, chances, outcome.blocked)
        ladder.cache(self._asked, made, model, self._state, self._spot.page)
        return Answer(
            made.items,
            Source.MODEL,
            model.version,
            seen.segment,
            page=self._spot.page,
            propensities=made.propensities,
            recommendation_id=self._request.recommendation_id,
            used=outcome.used,
        )

    def _to_rank(self) -> RankRequest:
        return self._ladder.request(
            self._query, self._asked.user_id, self._state, self._model, self._spot
        )

    def _seen(self) -> Seen | None:
        """Return what must not be shown, None where what was read of the shopper says nothing."""
        if not self._state.known:
            return None
        try:
            (shopper,) = self._model.shoppers(self._model.batch([self._to_rank()]))
            return self._ladder.remember(self._query, self._model, shopper)
        except Exception:  # there is an answer all the same
            log.exception(_UNTOLD)
            return None

    def _why(self, error: Exception) -> Reason:
        if isinstance(error, TimeoutError):
            return Reason.DEADLINE
        if isinstance(error, SaturatedError):
            return Reason.OVERLOAD
        if isinstance(error, ModelFailedError):
            return Reason.MODEL_ERROR
        return self._failed(error)

    def _failed(self, error: Exception) -> Reason:
        """Tell operators: whatever is wrong with the model or around it, there is an answer."""
        log.error("no list by model %s", self._model.version, exc_info=error)
        self._ladder.metrics.error(ErrorKind.MODEL)
        return Reason.MODEL_ERROR

    def _popular(self, reason: Reason | None, seen: Seen | None = None) -> Answer:
        return self._ladder.popular(self._query, self._model, self._spot, reason, seen)

    def _step(self, step: Callable[[Told], Answer | None], told: Told) -> None:
        """Take a step; end if it gives an answer, or fails."""
        try:
            answer = step(told)
        except Exception as error:  # noqa: BLE001 - told in `_failed`
            self._end(self._instead_of(error))
        else:
            if answer is not None:
                self._end(answer)

    def _instead_of(self, error: Exception) -> Answer | Exception:
        """Return popular items for a step that failed, an error only where they fail, too."""
        try:
            return self._popular(self._failed(error), self._seen())
        except Exception as worse:  # noqa: BLE001 - whoever asked is told
            return worse

    def _end(self, outcome: Answer | Exception) -> None:
        try:
            self._ladder.gate.leave(self._admission, self._started, monotonic())
            if isinstance(outcome, Answer) and outcome.reason is not None:
                self._ladder.metrics.fallback(outcome.reason)
        except Exception:  # whoever asked waits
            log.exception("an answer was not counted")
        self._then(outcome)


def climb(
    ladder: Ladder, query: Query, deadline: float, then: Callable[[Answer | Exception], None]
) -> None:
    """Call `then` once with an answer, personal if it is before `deadline`.

    Or with an error inside. Raises `UnavailableError` where there is no model at all, and
    `InvalidError` for a cursor that no answer told.
    """
    if query.cursor is not None:
        query = ladder.pages.opened(query)
    Climb(ladder, query, ladder.models.of(query.user_id), deadline, then).begin()


def _why_not_ranked(model: Model) -> Reason | None:
    """Return why a known shopper gets popular items: None where no model is for any."""
    if not model.is_whole:
        return Reason.MODEL_ERROR
    return Reason.UNKNOWN_USER if model.is_personal else None
