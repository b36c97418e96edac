"""Which events count for a list, and for how long, as declared in YAML: see `default.yaml`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from features.errors import FieldError
from features.events import EventType
from features.yaml_fields import as_mapping, refuse_unknown
from monitoring.policies import declared, in_force, number

VARIABLE = "CUVEE_OUTCOMES"

CREDITED = tuple(
    str(kind) for kind in EventType if kind not in {EventType.IMPRESSION, EventType.SESSION}
)
"""Types of events that a list can be credited with: they are about one item, and not seeing it."""

HOUR_MS = 3_600_000
LEAST_HOURS, MOST_HOURS = 0.01, 60 * 24
MOST_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Policy:
    """How long after a list an event counts, in ms by type, and how long it takes to be known."""

    windows_ms: Mapping[str, int]
    settle_ms: int

    @property
    def longest_ms(self) -> int:
        """Return the longest window."""
        return max(self.windows_ms.values())

    def matures_ms(self, kind: str) -> int:
        """Return the age of a list, in ms, at which all that counts of a type is known."""
        return self.windows_ms[kind] + self.settle_ms


def policy_in_force(path: Path | None = None) -> Policy:
    """Return the policy of `path`, of `CUVEE_OUTCOMES`, or the default one.

    Raises `InputError` naming the field that cannot be used.
    """
    return in_force(parse_policy, path, VARIABLE)


def parse_policy(text: str, name: str) -> Policy:
    """Return the policy that a YAML text declares; `name` stands before fields in errors."""
    fields = declared(text, name, "monitoring.outcomes")
    hours = as_mapping(fields["hours"], f"{name}: hours")
    refuse_unknown(hours, CREDITED, f"{name}: hours")
    if not hours:
        raise FieldError(f"{name}: hours", "expected a type of events at least, got none")
    windows = {
        kind: round(number(raw, f"{name}: hours.{kind}", LEAST_HOURS, MOST_HOURS) * HOUR_MS)
        for kind, raw in hours.items()
    }
    minutes = number(fields["settle_minutes"], f"{name}: settle_minutes", 0, MOST_MINUTES)
    return Policy(windows, round(minutes * 60_000))
