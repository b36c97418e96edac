"""The stages of a recommendation, each with a note of when it was: the plain ones' stand-ins."""

from collections.abc import Callable
from time import monotonic
from typing import Any

from features.online.store import ShopperQuery, ShopperRead
from models.batch import Batch
from models.model import Model
from models.request import Ranking, RankRequest
from monitoring.labels import Reason, Stage
from monitoring.metrics import Metrics
from server.answer import Answer
from server.breaker import Breaker
from server.coalescer import Coalescer
from server.handlers.recommendations import Recommend, Then
from server.inference import Inference
from server.query import Query
from server.reader import Reader
from server.response import Response
from server.tracing.notes import Note, Notes, notes_now, noting
from server.trial import Trial


class NotedReader(Reader):
    """Reads shoppers; notes each read that the store was asked for."""

    def read(
        self, query: ShopperQuery, deadline: float, then: Callable[[ShopperRead | Reason], None]
    ) -> None:
        """Read as `Reader` does."""
        notes, begun, is_asked = notes_now(), monotonic(), False

        def told(read: ShopperRead | Reason) -> None:
            if is_asked:  # else it was told at once
                notes.append(Note(Stage.READ, begun, monotonic()))
            with noting(notes):
                then(read)

        super().read(query, deadline, told)
        is_asked = True


class NotedInference(Inference):
    """Ranks for shoppers; notes for each of them the run that they shared."""

    def __init__(
        self,
        breaker: Breaker,
        metrics: Metrics,
        on_ranked: Callable[[Batch], None],
        reads: Coalescer[Any, Any] | None = None,
    ) -> None:
        """Take the arguments of `Inference`."""
        super().__init__(breaker, metrics, on_ranked, reads)
        self._waiting: dict[int, Notes] = {}
        """Of requests that nobody was told about yet: equal ones of two shoppers are two."""

    def rank(
        self,
        model: Model,
        request: RankRequest,
        deadline: float,
        then: Callable[[Ranking | Exception], None],
    ) -> None:
        """Rank as `Inference` does."""
        notes = self._waiting[id(request)] = notes_now()

        def told(outcome: Ranking | Exception) -> None:
            del self._waiting[id(request)]
            with noting(notes):
                then(outcome)

        super().rank(model, request, deadline, told)

    def ran(self, batch: Batch, started: float, prepared: float, ended: float) -> None:
        """Note both stages of a run for all who still wait for it."""
        stages = Note(Stage.FEATURES, started, prepared), Note(Stage.RANK, prepared, ended)
        for request in batch.requests:
            notes = self._waiting.get(id(request))
            if notes is not None:
                notes.extend(stages)
        super().ran(batch, started, prepared, ended)


class NotedRecommend(Recommend):
    """Answers bodies; each answer has the notes of its stages with it."""

    def begin(self, body: bytes, started: float, waited_s: float, then: Then) -> None:
        """Answer as `Recommend` does."""
        notes: Notes = []

        def told(outcome: Response | Exception) -> None:
            if isinstance(outcome, Response):
                outcome.notes = notes
            then(outcome)

        with noting(notes):
            super().begin(body, started, waited_s, told)

    def _written(
        self, answer: Answer, query: Query, started: float, trial: Trial | None
    ) -> Response:
        begun = monotonic()
        response = super()._written(answer, query, started, trial)
        notes_now().append(Note(Stage.ENCODE, begun, monotonic()))
        return response
