"""A model on trial beside the one that serves: which, for which share of shoppers, since when."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

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
    def begun(cls, version: str, step: int, share: float, *, automatic: bool) -> "Canary":
        """Return the first step of a trial, which begins now."""
        return cls(version, step, share, _now(), automatic)


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
