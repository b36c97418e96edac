"""Decisions as they are taken: within their limits, recorded before anything is done, counted."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from monitoring.drift.journal import Journal
from monitoring.response.case import Case
from monitoring.response.errors import TrailError
from monitoring.response.limits import LONGEST_S, Limits
from monitoring.response.metrics import ResponseMetrics
from monitoring.response.policy import Action
from monitoring.response.trail import Decided, Trail

AGAIN_S = 3_600.0
"""A refusal that is repeated window after window is recorded as often."""


class Ledger:
    """The audit trail of a home, with the limits that are counted from it."""

    def __init__(
        self,
        home: Path,
        metrics: ResponseMetrics,
        journal: Journal,
        clock: Callable[[], float],
    ) -> None:
        """Know of nothing yet."""
        self._trail = Trail(home)
        self._metrics = metrics
        self._journal = journal
        self._clock = clock
        self._limits = Limits()
        self._told: dict[tuple[str, Action, str], float] = {}
        self._in_the_way: dict[str, str] = {}

    def begin(self, under_way: str | None) -> None:
        """Read what was done before, and say of what was cut short that nobody knows its end.

        The decision `under_way` goes on. Raises `OSError` where the trail cannot be read.
        """
        without_end: dict[str, None] = {}
        lines = list(self._trail.lines(self._clock() - LONGEST_S))
        self._limits.read(lines)
        for line in lines:
            identity = str(line.get("id"))
            if line.get("decided") == Decided.TAKEN and line.get("action") != Action.ALERT:
                without_end[identity] = None
            elif "led_to" in line:
                without_end.pop(identity, None)
        for identity in without_end:
            if identity != under_way:
                self.add({"id": identity, "led_to": "not known: the monitor ended meanwhile"})

    def decide(self, case: Case, action: Action, why_not: str | None) -> tuple[Decided, str]:
        """Return what is decided about an action, and why; `why_not` is why it makes no sense.

        It is recorded: what is taken was on the disk before, but alerts are sent in any case.
        """
        decided, why = self._decided(case, action, why_not)
        if not self._record(case, action, decided, why) and action is not Action.ALERT:
            decided, why = Decided.REFUSED, "it cannot be recorded"
        self._metrics.decided(action, decided)
        if decided in {Decided.TAKEN, Decided.DRY_RUN}:
            self._limits.note(action, case.at_s, is_dry=decided is Decided.DRY_RUN)
        return decided, why

    def add(self, line: Mapping[str, Any]) -> bool:
        """Add a line to the audit trail; tell whether it was taken."""
        try:
            self._trail.add(self._clock(), line)
        except TrailError as error:
            self._metrics.recording(False)
            self.tell_once("audit", str(error))
            return False
        self._metrics.recording(True)
        self.tell_once("audit", None)
        return True

    def tell_once(self, what: str, reason: str | None) -> None:
        """Say that something is in the way when that begins, or is another, and when it ends."""
        if self._in_the_way.get(what) == reason:
            return
        if reason is None:
            del self._in_the_way[what]
            self._journal.tell("mended", what=what)
        else:
            self._in_the_way[what] = reason
            self._journal.tell("in the way", what=what, reason=reason)

    def _decided(self, case: Case, action: Action, why_not: str | None) -> tuple[Decided, str]:
        if why_not is not None:
            return Decided.REFUSED, why_not
        limit = self._limits.refusal(case.policy, action, case.at_s)
        if limit is not None:
            return Decided.LIMITED, limit
        is_dry = case.policy.is_dry(action)
        return Decided.DRY_RUN if is_dry else Decided.TAKEN, str(case.lead)

    def _record(self, case: Case, action: Action, decided: Decided, why: str) -> bool:
        """Record a decision; of equal refusals in a row only one an hour. Tell if it is."""
        place = (case.rule.name, action, f"{decided} {why}")
        if decided in {Decided.REFUSED, Decided.LIMITED}:
            last_s = self._told.get(place)
            if last_s is not None and 0 <= case.at_s - last_s < AGAIN_S:
                return True
        line = {"id": case.id, "action": action, "decided": decided, "why": why, **case.told()}
        if not self.add(line):
            return False
        self._told = {each: at for each, at in self._told.items() if case.at_s - at < AGAIN_S}
        self._told[place] = case.at_s
        self._journal.tell("decided", rule=case.rule.name, action=action, decided=decided, why=why)
        return True
