"""What the request itself says, as numbers: its time in UTC, and where it comes from.

Each takes the moments of n pairs and returns float64[n], NaN where nothing is told.
"""

import numpy as np
import numpy.typing as npt

from features.moments import Moments

Numbers = npt.NDArray[np.float64]

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_SATURDAY = 5


def hour(moments: Moments) -> Numbers:
    """Return the hour of the day, 0 to 23."""
    return (moments.as_of_ms // _HOUR_MS % 24).astype(np.float64)


def weekday(moments: Moments) -> Numbers:
    """Return the day of the week, Monday 0 to Sunday 6."""
    days = moments.as_of_ms // _DAY_MS
    return ((days + 3) % 7).astype(np.float64)  # the epoch was a Thursday


def month(moments: Moments) -> Numbers:
    """Return the month, 1 to 12."""
    months = moments.as_of_ms.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    return (months % 12 + 1).astype(np.float64)


def is_weekend(moments: Moments) -> Numbers:
    """Return 1 on Saturday and Sunday, else 0."""
    return (weekday(moments) >= _SATURDAY).astype(np.float64)


def latitude(moments: Moments) -> Numbers:
    """Return degrees north."""
    return np.array(moments.latitudes, np.float64)  # None becomes NaN


def location_known(moments: Moments) -> Numbers:
    """Return 1 where the request says where it comes from, else 0."""
    told = zip(moments.countries, moments.latitudes, strict=True)
    return np.array(
        [country is not None or degrees is not None for country, degrees in told], float
    )


def at_home(moments: Moments) -> Numbers:
    """Return 1 where the request's country is the shopper's own, else 0; NaN if one is unknown."""
    told = zip(moments.countries, moments.profiles, strict=True)
    return np.array([_same(country, (profile or {}).get("country")) for country, profile in told])


def _same(country: str | None, home: object) -> float:
    return np.nan if country is None or home is None else float(country == home)
