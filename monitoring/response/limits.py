"""How often actions are taken at most, counted from the audit trail: a restart forgets nothing."""

from collections.abc import Iterable, Mapping
from typing import Any

from monitoring.response.policy import Action, Limit, Policy
from monitoring.response.trail import Decided, seconds_of

CHANGES = frozenset({Action.ROLLBACK, Action.RETRAIN, Action.FALLBACK})
"""What changes what shoppers see: these have a limit together, too."""

LONGEST_S = 60 * 86_400.0
"""The longest span of a limit: so far back the audit trail is read."""

_COUNTED = {Decided.TAKEN: False, Decided.DRY_RUN: True}


class Limits:
    """When each action was taken, or would have been."""

    def __init__(self) -> None:
        """Know of nothing yet."""
        self._taken: list[tuple[Action, bool, float]] = []

    def read(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Learn from lines of the audit trail."""
        for line in lines:
            decided, action = line.get("decided"), line.get("action")
            if decided in _COUNTED and action in tuple(Action):
                self.note(Action(action), seconds_of(line), is_dry=_COUNTED[Decided(decided)])

    def note(self, action: Action, at_s: float, *, is_dry: bool) -> None:
        """Count an action."""
        self._taken.append((action, is_dry, at_s))

    def refusal(self, policy: Policy, action: Action, now_s: float) -> str | None:
        """Return why an action may not be taken now, None where it may."""
        is_dry = policy.is_dry(action)
        own = self._reached({action}, policy.limits[action], now_s, is_dry=is_dry)
        if own is not None:
            return f"{action}: {own}"
        if action not in CHANGES:
            return None
        overall = self._reached(CHANGES, policy.overall, now_s, is_dry=is_dry)
        return None if overall is None else f"all actions together: {overall}"

    def _reached(
        self, actions: Iterable[Action], limit: Limit, now_s: float, *, is_dry: bool
    ) -> str | None:
        """Tell of a limit that is reached. What lies far in the future, a clock told of."""
        among = frozenset(actions)
        times = [
            at_s
            for action, was_dry, at_s in self._taken
            if action in among and was_dry is is_dry and abs(now_s - at_s) < limit.per_s
        ]
        if len(times) < limit.most:
            return None
        return f"{len(times)} of {limit.most} in {limit.per_s / 3_600:g} h"
