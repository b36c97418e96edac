"""What came of measuring a new model against the one that serves, as its manifest keeps it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

LEAST_JUDGED = 20
"""Shoppers to judge, in the validation split and in the last: of fewer nothing can be told."""

VALIDATED = "validation"
"""Of a manifest's metrics: what came of it."""

MARGIN = 0.02
"""How much of the incumbent's NDCG@10 may be lost, unless told."""


@dataclass(frozen=True, slots=True)
class Validation:
    """NDCG@10 of a new model and of the `incumbent`, and the gain, from `low` to `high`.

    Between `since` and `until` (ISO 8601 UTC) `users` shoppers were judged; the figures are None
    where they were too few.
    """

    incumbent: str
    users: int
    since: str
    until: str
    margin: float
    theirs: float | None = None
    ours: float | None = None
    gain: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def is_no_worse(self) -> bool:
        """Tell whether the new model surely loses no more than it may."""
        if self.low is None or self.theirs is None:
            return False
        return self.low >= -self.margin * self.theirs

    def __str__(self) -> str:
        """Return it as a sentence."""
        span = f"{self.since[:10]} to {self.until[:10]}"
        if None in (self.theirs, self.ours, self.gain, self.low, self.high):
            return (
                f"cannot be compared with {self.incumbent}: {self.users} shoppers can be judged "
                f"by what it did not learn from, {span}; {LEAST_JUDGED} are needed"
            )
        allowed = -self.margin * (self.theirs or 0.0)
        return (
            f"{'no worse' if self.is_no_worse else 'not surely as good'}: NDCG@10 {self.ours:z.4f} "
            f"after {self.theirs:z.4f} of {self.incumbent}, {self.gain:+z.4f} ({self.low:+z.4f} to "
            f"{self.high:+z.4f}; {allowed:+z.4f} is allowed), {self.users} shoppers, {span}"
        )

    def told(self) -> dict[str, Any]:
        """Return all of it, JSON-able."""
        return {**asdict(self), "is_no_worse": self.is_no_worse}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return what was told."""
        return cls(**{name: value for name, value in told.items() if name != "is_no_worse"})
