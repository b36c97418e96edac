"""What responses tell Prometheus; rules and channels are those of the policy, closed sets."""

from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter, Gauge

from monitoring.finding import Kind
from monitoring.response.cost import Cost
from monitoring.response.policy import Action
from monitoring.response.trail import Decided

BOUNDS = ("low", "value", "high")
RESULTS = ("given_up", "told")


class ResponseMetrics:
    """Metrics of one responder, on `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Declare them."""
        decisions = Counter(
            "cuvee_response_decisions",
            "What was decided about an action.",
            ["action", "decision"],
            registry=registry,
        )
        self._decisions: dict[tuple[Action, Decided], Counter] = {
            (action, decided): decisions.labels(action, decided)
            for action in Action
            for decided in Decided
            if decided is not Decided.BY_HAND
        }
        failures = Counter(
            "cuvee_response_failures", "Actions that failed.", ["action"], registry=registry
        )
        self._failures = {action: failures.labels(action) for action in Action}
        self._deliveries = Counter(
            "cuvee_response_deliveries",
            "Alerts that were told to a channel, or given up.",
            ["channel", "result"],
            registry=registry,
        )
        seeing = Gauge(
            "cuvee_response_seeing",
            "1 where findings of a kind that a rule is about are known, else 0.",
            ["kind"],
            registry=registry,
        )
        self._seeing = {kind: seeing.labels(kind) for kind in Kind}
        self._alerts = Gauge("cuvee_response_alerts", "Alerts that are open.", registry=registry)
        self._training = Gauge(
            "cuvee_response_retraining", "1 while a model is trained anew.", registry=registry
        )
        self._valid = Gauge(
            "cuvee_response_policy_valid",
            "0 where the policy's file cannot be used and the one before holds on.",
            registry=registry,
        )
        self._recording = Gauge(
            "cuvee_response_recording",
            "0 where the audit trail cannot be written, so that nothing is done.",
            registry=registry,
        )
        self._cost = Gauge(
            "cuvee_response_cost_per_day",
            "What findings of a rule cost a day, in the currency of the policy.",
            ["rule", "bound"],
            registry=registry,
        )
        self._costs: set[tuple[str, str]] = set()
        self._valid.set(1)
        self._recording.set(1)

    def decided(self, action: Action, decided: Decided) -> None:
        """Count a decision."""
        self._decisions[action, decided].inc()

    def failed(self, action: Action) -> None:
        """Count an action that failed."""
        self._failures[action].inc()

    def channels(self, names: Collection[str]) -> None:
        """Tell of channels from the start: a first alert given up is an increase, no new series."""
        for name in names:
            for result in RESULTS:
                self._deliveries.labels(name, result)

    def delivered(self, channel: str, *, is_told: bool) -> None:
        """Count an alert that came to its end."""
        self._deliveries.labels(channel, RESULTS[is_told]).inc()

    def seeing(self, kind: Kind, is_seen: bool) -> None:
        """Show whether findings of a kind are known."""
        self._seeing[kind].set(is_seen)

    def show(self, alerts: int, is_training: bool) -> None:
        """Show what is under way."""
        self._alerts.set(alerts)
        self._training.set(is_training)

    def valid(self, is_valid: bool) -> None:
        """Show whether the policy is that of its file."""
        self._valid.set(is_valid)

    def recording(self, is_recording: bool) -> None:
        """Show whether the audit trail can be written."""
        self._recording.set(is_recording)

    def cost(self, rule: str, cost: Cost | None) -> None:
        """Show what a rule's findings cost, None for nothing that is known."""
        for bound in BOUNDS:
            if cost is not None:
                self._cost.labels(rule, bound).set(getattr(cost, bound))
                self._costs.add((rule, bound))
            elif (rule, bound) in self._costs:
                self._cost.remove(rule, bound)
                self._costs.discard((rule, bound))

    def rules(self, names: Collection[str]) -> None:
        """Show nothing of rules that are no more."""
        for rule in {rule for rule, _ in self._costs} - set(names):
            self.cost(rule, None)
