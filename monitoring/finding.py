"""What a monitor found, in the one form that is acted on, whichever monitor it was.

CUVEE_HOME/findings/NAME.json      what monitor NAME finds now, replaced in one step

A monitor whose own report says more need not leave a file: `monitoring.response.sources` reads
drift's report as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import orjson

from models.directory import replace_file

FOLDER = "findings"
"""Below CUVEE_HOME."""


class Kind(StrEnum):
    """What a finding is about."""

    DRIFT = "drift"
    PERFORMANCE = "performance"
    STALENESS = "staleness"
    FALLBACK_BURN = "fallback_burn"


class Severity(StrEnum):
    """How bad it is, from low to high."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def level(self) -> int:
        """Return 0 for low to 2 for high."""
        return tuple(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, and where it lies with 95 % confidence: from `low` to `high`."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the model `version` that is not as it should be.

    `subject` is the feature or metric, `value` what it was between `start_s` and `end_s` (seconds
    since 1970) and `threshold` what it should not have passed. `effect` is how much that matters,
    in the measure of its kind: of drift as `value` is, of performance and burn the share by which
    the threshold is passed, of staleness days. A window is told apart from the next by its end.

    Where money can be told of it, `live` and `incumbent` are `subject` for each list (conversions
    or money), now and with the model or at the time that it is measured against, and
    `lists_per_day` is the traffic that it concerns.
    """

    kind: Kind
    subject: str
    severity: Severity
    value: float
    threshold: float
    effect: float
    start_s: float
    end_s: float
    version: str
    at_s: float
    segment: str | None = None
    live: Estimate | None = None
    incumbent: Estimate | None = None
    lists_per_day: float | None = None

    @property
    def key(self) -> str:
        """Return what stays the same from window to window."""
        return f"{self.kind} {self.subject} {self.segment or ''}".rstrip()

    def __str__(self) -> str:
        """Return it as half a sentence."""
        where = f" of {self.segment}" if self.segment else ""
        return (
            f"{self.kind} of {self.subject}{where}: {self.value:.4g}, limit {self.threshold:.4g} "
            f"({self.severity})"
        )

    def told(self) -> dict[str, Any]:
        """Return it, JSON-able; what is None is left out."""
        told = {name: value for name, value in asdict(self).items() if value is not None}
        return {**told, "kind": str(self.kind), "severity": str(self.severity)}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return what was told; raise what reading raises if it is none."""
        estimates = {
            name: Estimate(**told[name])
            for name in ("live", "incumbent")
            if told.get(name) is not None
        }
        kinds = {"kind": Kind(told["kind"]), "severity": Severity(told["severity"])}
        return cls(**{**told, **kinds, **estimates})


def path_of(home: Path, name: str) -> Path:
    """Return where monitor `name` leaves what it finds."""
    return home / FOLDER / f"{name}.json"


def leave(home: Path, name: str, findings: Sequence[Finding]) -> None:
    """Leave all that monitor `name` finds now, nothing included; raise `OSError`."""
    path = path_of(home, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, orjson.dumps([each.told() for each in findings], option=orjson.OPT_INDENT_2))


def left(home: Path, name: str) -> list[Finding] | None:
    """Return what monitor `name` found, None where it never looked or left nothing readable."""
    try:
        told = orjson.loads(path_of(home, name).read_bytes())
        return [Finding.of(each) for each in told]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
