"""What is done about which findings, as declared: see `default.yaml` and docs/response.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from monitoring.finding import Finding, Kind, Severity
from monitoring.response.cost import Value


class Action(StrEnum):
    """What can be done."""

    ROLLBACK = "rollback"
    RETRAIN = "retrain"
    FALLBACK = "fallback"
    ALERT = "alert"


class Serve(StrEnum):
    """How a model comes to serve that was trained anew and is no worse."""

    AT_ONCE = "at_once"
    CANARY = "canary"
    BY_HAND = "by_hand"


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` times in any `per_s` seconds."""

    most: int
    per_s: float


@dataclass(frozen=True, slots=True)
class Condition:
    """When findings are acted on: what is None, or 0, is not asked for.

    A finding must be of `severity` at least, about one of `subjects`, have this `effect` at least
    and be there in `persists` windows in a row; the model must have been made so many seconds ago
    at least, or at most.
    """

    severity: Severity = Severity.LOW
    subjects: frozenset[str] | None = None
    effect: float = 0.0
    persists: int = 1
    older_s: float | None = None
    younger_s: float | None = None

    def fits(self, finding: Finding, age_s: float | None) -> bool:
        """Tell whether it is of that kind, were it to persist; `age_s` None is not known."""
        if finding.severity.level < self.severity.level or finding.effect < self.effect:
            return False
        if self.subjects is not None and finding.subject not in self.subjects:
            return False
        return self._fits_age(age_s)

    def _fits_age(self, age_s: float | None) -> bool:
        if self.older_s is None and self.younger_s is None:
            return True
        if age_s is None:
            return False
        is_older = self.older_s is None or age_s >= self.older_s
        return is_older and (self.younger_s is None or age_s <= self.younger_s)


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that a rule does; an alert goes to channels `to`, None for all of them."""

    action: Action
    to: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """On findings of `kinds` that fulfil a condition, do this, in this order."""

    name: str
    kinds: frozenset[Kind]
    condition: Condition
    deeds: tuple[Deed, ...]


@dataclass(frozen=True, slots=True)
class Burn:
    """Fallbacks burn: more than `times` what is allowed, over a long span and a short one."""

    times: float
    long_s: float
    short_s: float


@dataclass(frozen=True, slots=True)
class FallbackBurn:
    """How answers from below the model are watched: share `allowed`, asked of `services`."""

    services: tuple[str, ...]
    allowed: float
    least_requests: int
    fast: Burn
    slow: Burn


@dataclass(frozen=True, slots=True)
class Retraining:
    """How a model is trained anew, and when it may serve."""

    margin: float
    mature_s: float
    serve: Serve
    longest_s: float
    niceness: int


@dataclass(frozen=True, slots=True)
class Raise:
    """By how much the share of shoppers rises that get popular items, how far, how long."""

    share: float
    up_to: float
    for_s: float


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """Where alerts of Prometheus' kind go."""

    url: str


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where JSON is posted, signed where `secret_env` names a variable that holds a secret."""

    url: str
    secret_env: str | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    """Where mail goes; `password_env` names the variable that holds the password of `user`."""

    host: str
    port: int
    starttls: bool
    sender: str
    to: tuple[str, ...]
    user: str | None = None
    password_env: str | None = None


Channel: TypeAlias = Alertmanager | Webhook | Mail


@dataclass(frozen=True, slots=True)
class Policy:
    """All that is declared."""

    dry_run: bool
    rules: tuple[Rule, ...]
    limits: Mapping[Action, Limit]
    overall: Limit
    dry: frozenset[Action]
    """Actions that are only recorded."""

    stale_s: float
    burn: FallbackBurn
    retraining: Retraining
    raising: Raise
    repeat_s: float
    """How often an alert that stays is told again."""

    channels: Mapping[str, Channel]
    value: Value | None

    def is_dry(self, action: Action) -> bool:
        """Tell whether it is only said what would be done."""
        return self.dry_run or action in self.dry

    def needs(self, kind: Kind) -> bool:
        """Tell whether any rule is about findings of that kind."""
        return any(kind in rule.kinds for rule in self.rules)
