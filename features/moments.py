"""When, from where and of whom features are asked: what a request tells beside the events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Moment(NamedTuple):
    """What one request tells: when (milliseconds UTC), from where, and who is known."""

    as_of_ms: int
    country: str | None = None
    latitude: float | None = None
    profile: Mapping[str, object] | None = None

    @property
    def home(self) -> object:
        """Return where the shopper is, else where they live, else None."""
        return self.country or (self.profile or {}).get("country")


@dataclass(frozen=True, slots=True)
class Moments:
    """The moments of n pairs as columns.

    `as_of_ms` int64[n]; of the others each has n entries, None where nothing is told.
    """

    as_of_ms: Ints
    countries: Sequence[str | None]
    latitudes: Sequence[float | None]
    profiles: Sequence[Mapping[str, object] | None]

    @classmethod
    def of(cls, moments: Sequence[Moment]) -> Self:
        """Return `moments` as columns."""
        as_of, countries, latitudes, profiles = zip(*moments, strict=True) if moments else ((),) * 4
        return cls(np.array(as_of, np.int64), countries, latitudes, profiles)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.as_of_ms)
