"""Keeps the alerts of rules: opens them, brings them up to now, ends them, and has them told."""

from collections.abc import Callable, Collection, Sequence

from monitoring.drift.journal import Journal
from monitoring.response import alerts
from monitoring.response.case import Case
from monitoring.response.delivery import Couriers, Delivered
from monitoring.response.ledger import Ledger
from monitoring.response.metrics import ResponseMetrics
from monitoring.response.policy import Action, Deed, Policy
from monitoring.response.state import Alert, State
from monitoring.response.trail import Decided


class AlertDesk:
    """The alerts of one responder; what is open stands in its state."""

    def __init__(
        self,
        state: State,
        ledger: Ledger,
        couriers: Couriers,
        metrics: ResponseMetrics,
        journal: Journal,
        clock: Callable[[], float],
    ) -> None:
        """Tell nobody anything yet."""
        self._state = state
        self._ledger = ledger
        self._couriers = couriers
        self._metrics = metrics
        self._journal = journal
        self._clock = clock

    def update(self, case: Case, deed: Deed, done: Sequence[str]) -> None:
        """Open an alert, or bring the one that is open up to now, if that is worth telling."""
        before = self._state.alerts.get(case.rule.name)
        alert = alerts.alert_of(case, deed, done, before)
        if case.policy.is_dry(Action.ALERT):
            alert.channels = []
        if before is not None and alerts.are_alike(before, alert):
            before.details, before.summary = alert.details, alert.summary
            return
        decided, _ = self._ledger.decide(case, Action.ALERT, None)
        if decided is not Decided.LIMITED:
            self._open(alert, before)

    def add_action(self, rule: str, action: str) -> None:
        """Let the alert of a rule, if it is open, tell of one more thing that was done."""
        alert = self._state.alerts.get(rule)
        if alert is not None and not alert.is_resolved:
            alerts.add_action(alert, action)

    def end(self, rule: str) -> None:
        """End the alert of a rule, if it is open."""
        alert = self._state.alerts.get(rule)
        if alert is not None and not alert.is_resolved:
            alerts.resolve(alert)
            self._journal.tell("resolved", rule=rule)

    def keep(self, rules: Collection[str]) -> None:
        """End the alerts of all rules but these."""
        for alert in list(self._state.alerts.values()):
            if alert.rule not in rules:
                self.end(alert.rule)

    def deliver(self, policy: Policy) -> None:
        """Note what was told, and have told what is not yet."""
        ended = self._couriers.ended()
        for each in ended:
            self._note(each)
        now_s = self._clock()
        alerts.settle(self._state, policy, ended, now_s)
        alerts.send(self._state, policy, self._couriers, now_s)

    async def close(self) -> None:
        """Give up what is on its way."""
        await self._couriers.close()

    def _open(self, alert: Alert, before: Alert | None) -> None:
        if before is not None and before.id != alert.id:
            alerts.resolve(before)
            self._state.alerts[f"{before.rule} {before.id}"] = before
        self._state.alerts[alert.rule] = alert

    def _note(self, delivered: Delivered) -> None:
        message = delivered.message
        told = "told" if delivered.why is None else f"not told: {delivered.why}"
        self._metrics.delivered(delivered.channel, is_told=delivered.why is None)
        self._ledger.add(
            {
                "id": message.alert.decision,
                "led_to": f"{delivered.channel}: {told}",
                "status": message.status,
                "tries": delivered.tries,
            }
        )
