"""Behaviour for property tests: a shopper's events, moments, and what plain Python makes of them.

Nothing here uses the code under test: sums are taken event by event, in exact integers.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from hypothesis import strategies as st

from features.definitions import (
    Aggregation,
    Feature,
    Location,
    Profile,
    Recency,
    Temporal,
    Window,
)
from features.events import RECORD, EventType, Records
from features.vector import Moment

NOW_MS = 1_760_000_000_000
DAY_MS = 86_400_000
KINDS = list(EventType)

Row = tuple[int, int, int, int]
"""Stamp, item, value in hundredths, type code."""

_AGES = st.one_of(
    st.integers(0, 3 * DAY_MS),
    st.integers(0, 400 * DAY_MS),
    st.sampled_from([0, 1, 3_600_000, 7 * DAY_MS, 7 * DAY_MS + 1, 30 * DAY_MS, 365 * DAY_MS]),
)
ROWS = st.lists(
    st.tuples(
        _AGES.map(lambda age: NOW_MS - age),
        st.integers(1, 9),
        st.integers(0, 2**31 - 1),
        st.integers(0, len(KINDS) - 1),
    ),
    max_size=40,
).map(sorted)
MOMENTS = st.builds(
    Moment,
    as_of_ms=_AGES.map(lambda age: NOW_MS - age),
    country=st.sampled_from([None, "FR", "IT"]),
    latitude=st.none() | st.floats(-90, 90),
    profile=st.none()
    | st.fixed_dictionaries(
        {},
        optional={
            "country": st.sampled_from([None, "FR"]),
            "age": st.integers(0, 99) | st.none() | st.text(max_size=2),
            "marketing_opt_in": st.booleans(),
        },
    ),
)


def as_records(rows: Sequence[Row]) -> Records:
    """Return the rows as records, each with a tag of its own."""
    return np.array(
        [(ts, item, value, n << 4 | code) for n, (ts, item, value, code) in enumerate(rows)],
        RECORD,
    )


def before(rows: Sequence[Row], as_of_ms: int) -> list[Row]:
    """Return the rows before a moment."""
    return [row for row in rows if row[0] < as_of_ms]


def reference(rows: Sequence[Row], moment: Moment, features: Sequence[Feature]) -> list[float]:
    """Return the feature vector of time-sorted `rows`, all of them before the moment."""
    return [float(np.float32(_value(feature, rows, moment))) for feature in features]


def _value(feature: Feature, rows: Sequence[Row], moment: Moment) -> float:
    match feature:
        case Window():
            return _window(feature, rows, moment)
        case Recency():
            times = [ts for ts, _, _, code in rows if KINDS[code] in feature.types]
            if not times:
                return feature.default
            return min((moment.as_of_ms - max(times)) / 1000, feature.default)
        case Temporal():
            return _temporal(feature.name, moment)
        case Location():
            return _location(feature.name, moment)
        case Profile():
            told = (moment.profile or {}).get(feature.name)
            return float(told) if isinstance(told, int | float) else feature.default


def _window(feature: Window, rows: Sequence[Row], moment: Moment) -> float:
    opened = moment.as_of_ms - feature.seconds * 1000
    values = [value for ts, _, value, code in rows if ts >= opened and KINDS[code] in feature.types]
    if feature.aggregation is Aggregation.COUNT:
        return len(values)
    total = sum(values) / 100
    if feature.aggregation is Aggregation.SUM:
        return total
    return total / len(values) if values else feature.default


def _temporal(name: str, moment: Moment) -> float:
    when = datetime.fromtimestamp(moment.as_of_ms // 1000, UTC)
    return {
        "hour": when.hour,
        "weekday": when.weekday(),
        "month": when.month,
        "is_weekend": when.weekday() >= 5,
    }[name]


def _location(name: str, moment: Moment) -> float:
    home = (moment.profile or {}).get("country")
    return {
        "latitude": moment.latitude or 0,
        "location_known": moment.country is not None or moment.latitude is not None,
        "at_home": home is not None and home == moment.country,
    }[name]
