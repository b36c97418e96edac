"""Which events count for a list, and for how long, as declared in YAML: see `default.yaml`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from features.errors import FieldError
from features.events import EventType
from features.yaml_fields import as_mapping, parse_yaml, read_text, refuse_unknown

VARIABLE = "CUVEE_OUTCOMES"

CREDITED = tuple(
    str(kind) for kind in EventType if kind not in {EventType.IMPRESSION, EventType.SESSION}
)
"""Types of events that a list can be credited with: they are about one item, and not seeing it."""

HOUR_MS = 3_600_000
_MOST_HOURS = 24 * 60
_MOST_MINUTES = 24 * 60


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
    named = path or os.environ.get(VARIABLE)
    if named:
        return parse_policy(read_text(Path(named)), str(named))
    return parse_policy("{}", "default.yaml")


def parse_policy(text: str, name: str) -> Policy:
    """Return the policy that a YAML text declares; `name` stands before fields in errors."""
    default = as_mapping(parse_yaml(_default(), "default.yaml"), "default.yaml")
    told = as_mapping(parse_yaml(text, name) or {}, name)
    refuse_unknown(told, default, name)
    fields = {**default, **told}
    hours = as_mapping(fields["hours"], f"{name}: hours")
    refuse_unknown(hours, CREDITED, f"{name}: hours")
    if not hours:
        raise FieldError(f"{name}: hours", "expected a type of events at least, got none")
    windows = {
        kind: round(_positive(raw, f"{name}: hours.{kind}", _MOST_HOURS) * HOUR_MS)
        for kind, raw in hours.items()
    }
    minutes = _positive(fields["settle_minutes"], f"{name}: settle_minutes", _MOST_MINUTES)
    return Policy(windows, round(minutes * 60_000))


def _default() -> str:
    return (resources.files("monitoring.outcomes") / "default.yaml").read_text(encoding="utf-8")


def _positive(raw: Any, where: str, most: int) -> float:  # noqa: ANN401 - YAML may be anything
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0 < raw <= most:
        raise FieldError(where, f"expected a number above 0, at most {most}, got {raw!r:.40}")
    return float(raw)
