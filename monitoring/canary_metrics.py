"""What is told of a model on trial."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from monitoring.labels import CanaryMove, Outcome, Variant
from monitoring.tallies import Count


class CanaryMetrics:
    """The metrics of a trial."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register them with `registry`."""
        self._canary_answers = Counter(
            "cuvee_canary_answers",
            "Requests for lists while a model is on trial.",
            ("variant", "outcome"),
            registry=registry,
        )
        self._variants: dict[tuple[Variant, Outcome], Count] = {}
        moves = Counter(
            "cuvee_canary_moves",
            "What was done with a model on trial without anybody telling so.",
            ("move",),
            registry=registry,
        )
        self._canary_moves = {each: moves.labels(each) for each in CanaryMove}
        self._canary_share = Gauge(
            "cuvee_canary_share_ratio",
            "Share of shoppers that get the model on trial.",
            multiprocess_mode="livemax",
            registry=registry,
        )

    def canary_begins(self) -> None:
        """Tell of every outcome from the start: a first error is an increase, no new series."""
        for variant in Variant:
            for outcome in Outcome:
                self._count(variant, outcome)

    def canary_answer(self, variant: Variant, outcome: Outcome) -> None:
        """Count one request while a model is on trial."""
        self._count(variant, outcome).total += 1

    def canary_move(self, move: CanaryMove) -> None:
        """Count what was done with a model on trial."""
        self._canary_moves[move].inc()

    def canary_share(self, share: float) -> None:
        """Set the share of shoppers that get the model on trial."""
        self._canary_share.set(share)

    def enter(self) -> None:
        """Tell Prometheus what was noted since the last time."""
        for count in self._variants.values():
            count.enter()

    def _count(self, variant: Variant, outcome: Outcome) -> Count:
        count = self._variants.get((variant, outcome))
        if count is None:
            count = Count(self._canary_answers.labels(variant, outcome))
            self._variants[variant, outcome] = count
        return count
