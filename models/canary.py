"""A model on trial beside the one that serves: which, for which share of shoppers, since when."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from features.ids import stable_hash

_HASHES = 1 << 64


@dataclass(frozen=True, slots=True)
class Canary:
    """One step of a trial, as the registry records it.

    `step` 0 answers nobody, it only ranks beside; from then on `share` of the shoppers get the
    model. `since` is when this step began, ISO 8601 UTC. Where it is not `automatic`, only a
    person moves it on.
    """

    version: str
    step: int
    share: float
    since: str
    automatic: bool = True

    @property
    def key(self) -> str:
        """Return a name that no other step of any trial has."""
        moment = "".join(each for each in self.since if each.isdigit())
        return f"{self.version}.{self.step}.{moment}"

    def age_s(self) -> float:
        """Return for how many seconds this step has been going on."""
        began = datetime.fromisoformat(self.since)
        return (datetime.now(UTC) - began).total_seconds()

    def moved_to(self, step: int, share: float) -> "Canary":
        """Return another step of this trial, which begins now."""
        return replace(self, step=step, share=share, since=_now())

    @classmethod
    def of(cls, told: object) -> "Canary":
        """Return the step that JSON tells; raise `TypeError` or `ValueError` if it is none."""
        if not isinstance(told, dict):
            raise TypeError(f"expected an object, got {type(told).__name__}")
        canary = cls(**told)
        for name, kind in _KINDS.items():
            value = getattr(canary, name)
            if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
                raise TypeError(f"{name}: not of its type, got {type(value).__name__}")
        if datetime.fromisoformat(canary.since).tzinfo is None:
            raise ValueError(f"since: expected a moment in UTC, got {canary.since}")
        return canary

    @classmethod
    def begun(cls, version: str, step: int, share: float, *, automatic: bool) -> "Canary":
        """Return the first step of a trial, which begins now."""
        return cls(version, step, share, _now(), automatic)


_KINDS: Mapping[str, Any] = {
    "version": str,
    "step": int,
    "share": int | float,
    "since": str,
    "automatic": bool,
}


class Assignment:
    """Which shoppers a canary has: always the same of one share, and a larger one has them, too."""

    __slots__ = ("_end", "_salt")

    def __init__(self, canary: Canary) -> None:
        """Divide shoppers by their hash and the version, so that each trial has others."""
        self._salt = stable_hash(canary.version)
        self._end = round(canary.share * _HASHES)

    def has(self, shopper: int) -> bool:
        """Tell whether the shopper of this `stable_hash` gets the canary."""
        return shopper ^ self._salt < self._end


def _now() -> str:
    return datetime.now(UTC).isoformat()
