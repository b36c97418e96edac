"""A model on trial in this worker: who gets it, and what both arms did at the same time."""

from collections.abc import Iterable

from features.events import Event, EventType
from features.ids import stable_hash
from models import canary_counts as counted
from models.canary import Assignment, Canary
from models.canary_counts import CANARY, CONTROL, CanaryCounter
from models.model import Model
from models.request import Listed, RankRequest
from models.rollout import Shadow
from monitoring.labels import Outcome, Reason, Source, Variant
from monitoring.metrics import Metrics
from server.answer import Answer
from server.shadow import ShadowRanker

LONGEST_S = 1.0
"""What an answer that took longer counts as: one that hung says no more than that."""

_VARIANTS = {CANARY: Variant.CANARY, CONTROL: Variant.CONTROL}
_OUTCOMES = {Source.MODEL: Outcome.RANKED, Source.CACHE: Outcome.CACHED}


class Trial:
    """One step of a canary. Its methods are for the event loop."""

    def __init__(
        self,
        canary: Canary,
        model: Model,
        counter: CanaryCounter,
        metrics: Metrics,
        shadow: Shadow,
    ) -> None:
        """Begin: at step 0 `model` only ranks beside, as `shadow` declares."""
        self.canary = canary
        self.model = model
        self._counter = counter
        self._metrics = metrics
        metrics.canary_begins()
        self._assignment = Assignment(canary)
        self._shadow = ShadowRanker(model, counter, shadow) if canary.step == 0 else None

    def has(self, user_id: str) -> bool:
        """Tell whether a shopper gets the model on trial."""
        return self._assignment.has(stable_hash(user_id))

    def count(self, user_id: str, seconds: float, outcome: Answer | Exception) -> None:
        """Count what became of a request, in the arm that its shopper is in.

        What was asked of one arm before a step began, and answered after, is counted in neither.
        """
        shopper = stable_hash(user_id)
        arm = self._arm(shopper)
        variant = _VARIANTS[arm]
        add = self._counter.add
        if isinstance(outcome, Exception):
            self._counter.add_shopper(arm, shopper)
            add(arm, shopper, counted.REQUESTS)
            add(arm, shopper, counted.ERRORS)
            self._metrics.canary_answer(variant, Outcome.ERROR)
            return
        if not self._is_of(arm, outcome):
            return
        if outcome.reason is Reason.FALLBACK_SHARE:  # on purpose, and of neither model
            return
        self._counter.add_shopper(arm, shopper)
        add(arm, shopper, counted.REQUESTS)
        told = _OUTCOMES.get(outcome.source, Outcome.FALLBACK)
        if told is Outcome.FALLBACK:
            add(arm, shopper, counted.FALLBACKS)
        if told is not Outcome.CACHED:
            add(arm, shopper, counted.RANKED)
            add(arm, shopper, counted.SECONDS, min(seconds, LONGEST_S))
        if outcome.is_empty:
            told = Outcome.EMPTY
            add(arm, shopper, counted.EMPTY)
        self._metrics.canary_answer(variant, told)

    def count_clicks(self, events: Iterable[Event]) -> None:
        """Count clicks on items of lists, in the arms that their shoppers are in."""
        for event in events:
            if event.type is EventType.CLICK and event.recommendation_id is not None:
                shopper = stable_hash(event.user_id)
                self._counter.add(self._arm(shopper), shopper, counted.CLICKS)

    def offer(self, model: Model, request: RankRequest, listed: Listed) -> None:
        """Let what `model` ranked perhaps be ranked by the one on trial, too, off the answer."""
        if self._shadow is not None:
            self._shadow.offer(model, request, listed)

    def close(self) -> None:
        """End."""
        if self._shadow is not None:
            self._shadow.stop()

    def variant(self, user_id: str, answer: Answer) -> Variant | None:
        """Return the arm of the shopper who got an answer, from whichever rung; on any thread.

        None where no shopper gets the model on trial, and for what counts in neither arm.
        """
        arm = self._arm(stable_hash(user_id))
        return _VARIANTS[arm] if self.canary.share and self._is_of(arm, answer) else None

    def _is_of(self, arm: int, answer: Answer) -> bool:
        return (answer.model_version == self.canary.version) == (arm == CANARY)

    def _arm(self, shopper: int) -> int:
        return CANARY if self._assignment.has(shopper) else CONTROL
