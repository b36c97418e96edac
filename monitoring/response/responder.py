"""Findings, and what is done about them.

    sources ─ findings ─ rules: severity, effect, persistence, age of the model
                          └ for each action: makes sense? ─ within its limits? ─ recorded ─ done
                                                                                  └ what it led to

What cannot be recorded is not done, alerts excepted: somebody must hear of it. Whatever fails
fails alone: a source, an action, a channel, the file of the policy.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from features.errors import FeaturesError
from models.registry import Registry
from monitoring.drift.journal import Journal
from monitoring.finding import Finding, Kind
from monitoring.response import streaks
from monitoring.response.alert_desk import AlertDesk
from monitoring.response.case import Case, Doing, worst_first
from monitoring.response.ledger import Ledger
from monitoring.response.metrics import ResponseMetrics
from monitoring.response.policy import Action, Policy, Rule
from monitoring.response.policy_file import PolicyFile
from monitoring.response.retrain import Retrain
from monitoring.response.sources import Source, created_s
from monitoring.response.state import State, write_state
from monitoring.response.trail import Decided, new_id

log = logging.getLogger(__name__)


class Responder:
    """Acts on what is found in one home."""

    name = "response"

    def __init__(
        self,
        home: Path,
        policy: PolicyFile,
        sources: Sequence[Source],
        doings: Mapping[Action, Doing],
        retrain: Retrain,
        state: State,
        ledger: Ledger,
        alerts: AlertDesk,
        metrics: ResponseMetrics,
        journal: Journal,
        clock: Callable[[], float],
    ) -> None:
        """Do nothing yet; `doings` are all actions but the alert."""
        self._home = home
        self._policy = policy
        self._sources = sources
        self._doings = doings
        self._retrain = retrain
        self._state = state
        self._ledger = ledger
        self._alerts = alerts
        self._metrics = metrics
        self._journal = journal
        self._clock = clock
        self._registry = Registry(home)
        self._kept = b""
        self._is_begun = False

    async def step(self) -> None:
        """Do what is to be done now."""
        await self._begin()
        policy = await asyncio.to_thread(self._policy.follow)
        self._metrics.valid(self._policy.is_valid)
        self._metrics.channels(policy.channels)
        self._forget_rules(policy)
        await self._look_at_training(policy)
        found = {each.kind: await self._found(each, policy) for each in self._sources}
        age_s = await asyncio.to_thread(self._age_s)
        for rule in policy.rules:
            await self._follow(policy, rule, found, age_s)
        self._alerts.deliver(policy)
        open_alerts = [each for each in self._state.alerts.values() if not each.is_resolved]
        self._metrics.show(len(open_alerts), self._state.training is not None)
        self._keep()

    async def close(self) -> None:
        """End what is under way; the next responder goes on."""
        await self._alerts.close()
        await asyncio.to_thread(self._retrain.stop)
        self._keep()

    async def _begin(self) -> None:
        if not self._is_begun:
            training = self._state.training
            await asyncio.to_thread(self._ledger.begin, None if training is None else training.id)
            self._is_begun = True

    async def _found(self, source: Source, policy: Policy) -> Sequence[Finding] | None:
        """Return what a source finds, if a rule is about it; say what is in its way."""
        if not policy.needs(source.kind):
            return None
        found, reason = None, "nothing is known yet"
        try:
            found = await source.findings(policy)
        except (FeaturesError, OSError) as error:
            reason = str(error)
        except Exception as error:  # one source is not all
            log.exception("findings of %s", source.kind)
            reason = repr(error)
        self._metrics.seeing(source.kind, found is not None)
        self._ledger.tell_once(source.kind, None if found is not None else reason)
        return found

    async def _follow(
        self,
        policy: Policy,
        rule: Rule,
        found: Mapping[Kind, Sequence[Finding] | None],
        age_s: float | None,
    ) -> None:
        """Act on what a rule is about, if it is new; end its alert where there is nothing more."""
        persisting = worst_first(streaks.follow(self._state.streaks, rule, found, age_s))
        case = Case(new_id(self._clock()), rule, persisting, policy, self._clock())
        if persisting:
            self._metrics.cost(rule.name, case.cost)
        elif all(found.get(kind) is not None for kind in rule.kinds):
            self._metrics.cost(rule.name, None)
            self._alerts.end(rule.name)
        due = [each for each in persisting if streaks.is_due(self._state.streaks, rule, each)]
        if due:
            await self._act(case)
            streaks.decide(self._state.streaks, rule, due)

    async def _act(self, case: Case) -> None:
        """Do what a rule says; its alert comes last, so that it tells of the rest."""
        done: list[str] = []
        for deed in case.rule.deeds:
            if deed.action is Action.ALERT:
                continue
            each = replace(case, id=new_id(case.at_s))
            try:
                done.append(f"{deed.action}: {await self._do(each, deed.action)}")
            except Exception as error:  # the other actions are done all the same
                log.exception("%s", deed.action)
                done.append(f"{deed.action}: failed: {error!r}")
        for deed in case.rule.deeds:
            if deed.action is Action.ALERT:
                self._alerts.update(case, deed, done)

    async def _do(self, case: Case, action: Action) -> str:
        """Decide about an action, record it, do it; return what came of it in words."""
        doing = self._doings[action]
        try:
            why_not = await doing.refusal(case)
        except (FeaturesError, OSError) as error:
            why_not = str(error)
        decided, why = self._ledger.decide(case, action, why_not)
        if decided is Decided.TAKEN:
            return await self._done(case, action, doing)
        return str(decided) if decided is Decided.DRY_RUN else f"{decided}: {why}"

    async def _done(self, case: Case, action: Action, doing: Doing) -> str:
        started_s = self._clock()
        try:
            led_to = await doing.do(case)
        except (FeaturesError, OSError) as error:
            led_to = f"failed: {error}"
            self._metrics.failed(action)
        self._keep()
        if led_to is None:
            return "begun"
        self._conclude(case.id, str(action), case.rule.name, led_to, started_s)
        return led_to

    async def _look_at_training(self, policy: Policy) -> None:
        ended = await self._retrain.look(policy)
        if ended is None:
            return
        training, led_to = ended.training, ended.led_to
        self._conclude(training.id, "retrained", training.rule, led_to, training.started_s)
        if led_to.startswith("failed"):
            self._metrics.failed(Action.RETRAIN)
        self._alerts.add_action(training.rule, f"{Action.RETRAIN}: {led_to}")

    def _conclude(self, identity: str, event: str, rule: str, led_to: str, since_s: float) -> None:
        """Record what a decision led to."""
        took_s = round(self._clock() - since_s, 3)
        self._ledger.add({"id": identity, "led_to": led_to, "took_s": took_s})
        self._journal.tell(event, rule=rule, led_to=led_to, id=identity)

    def _forget_rules(self, policy: Policy) -> None:
        """End what is counted and told of rules that are no more."""
        names = {rule.name for rule in policy.rules}
        streaks.of_rules(self._state.streaks, policy.rules)
        self._metrics.rules(names)
        self._alerts.keep(names)

    def _keep(self) -> None:
        """Write what must not be forgotten."""
        content = self._state.to_json()
        if content == self._kept:
            return
        try:
            write_state(self._home, content)
        except OSError as error:
            self._ledger.tell_once("state", str(error))
        else:
            self._kept = content
            self._ledger.tell_once("state", None)

    def _age_s(self) -> float | None:
        try:
            version = self._registry.resolve("production")
            return self._clock() - created_s(self._registry, version)
        except (FeaturesError, OSError, ValueError):
            return None
