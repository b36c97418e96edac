"""What a responder must not forget when it is killed, beside its audit trail.

CUVEE_HOME/response/state.json      replaced in one step
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import orjson

from models.directory import replace_file

FILE = Path("response") / "state.json"
"""Below CUVEE_HOME."""


@dataclass(slots=True)
class Streak:
    """A finding that stays: seen in `count` windows in a row, the last of which ended `end_s`.

    `decided_s` is the end of the window that was acted on last.
    """

    version: str
    end_s: float
    count: int = 1
    decided_s: float = 0.0


@dataclass(slots=True)
class Alert:
    """An alert of a rule that is open, or is to be told as resolved; `decision` is the latest.

    `digest` changes with what is worth telling again; `told` has for each channel the digest that
    it was told last, and when (seconds since 1970).
    """

    id: str
    decision: str
    rule: str
    since_s: float
    labels: dict[str, str]
    summary: str
    details: dict[str, Any]
    channels: list[str]
    digest: str
    is_resolved: bool = False
    told: dict[str, tuple[str, float]] = field(default_factory=dict)


@dataclass(slots=True)
class Training:
    """A retraining under way: decision `id`, against the model that served when it began."""

    id: str
    rule: str
    incumbent: str
    why: str
    started_s: float
    starts: int = 0


@dataclass(slots=True)
class State:
    """All of it; `streaks` by rule and finding, `alerts` by rule."""

    streaks: dict[str, Streak] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    training: Training | None = None

    def to_json(self) -> bytes:
        """Return all of it."""
        return orjson.dumps(asdict(self))

    @classmethod
    def read(cls, home: Path) -> Self:
        """Return what was written last; nothing where there is none that can be read."""
        try:
            told = orjson.loads((home / FILE).read_bytes())
            alerts = {name: Alert(**each) for name, each in told["alerts"].items()}
            for each in alerts.values():
                each.told = {name: (digest, at) for name, (digest, at) in each.told.items()}
            training = told["training"]
            return cls(
                {name: Streak(**each) for name, each in told["streaks"].items()},
                alerts,
                None if training is None else Training(**training),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls()


def write_state(home: Path, content: bytes) -> None:
    """Write what `State.to_json` told, whole or not at all; raise `OSError`."""
    path = home / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content)
