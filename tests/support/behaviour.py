"""Behaviour for property tests: a shopper's events, moments, and what plain Python makes of them.

Nothing here uses the code under test: sums are taken event by event, in exact integers.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
from hypothesis import strategies as st

from features.events import RECORD, EventType, Records
from features.feature import Aggregation, Feature, OnDemand, Profile, Recency, Window
from features.moments import Moment

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
        st.integers(0, 600) | st.integers(0, 2**31 - 1),
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


def reference(
    rows: Sequence[Row], moment: Moment, features: Sequence[Feature]
) -> list[tuple[float, bool]]:
    """Return value and whether it is missing of each feature.

    `rows` are time-sorted, and all of them before the moment.
    """
    computed = [_value(feature, rows, moment) for feature in features]
    told = [
        value if value is not None and feature.low <= value <= feature.high else None
        for feature, value in zip(features, computed, strict=True)
    ]
    return [
        (float(np.float32(feature.default if value is None else value)), value is None)
        for feature, value in zip(features, told, strict=True)
    ]


def _value(feature: Feature, rows: Sequence[Row], moment: Moment) -> float | None:
    match feature:
        case Window():
            return _window(feature, rows, moment) if _is_known(rows, moment) else None
        case Recency():
            times = [ts for ts, _, _, code in rows if KINDS[code] in feature.types]
            elapsed = (moment.as_of_ms - max(times)) / 1000 if times else feature.default + 1
            return None if elapsed > feature.default else elapsed
        case OnDemand():
            return _ON_DEMAND[feature.name](moment)
        case Profile():
            told = (moment.profile or {}).get(feature.name)
            return float(told) if isinstance(told, int | float) else None


def _is_known(rows: Sequence[Row], moment: Moment) -> bool:
    """Tell whether the shopper did anything of late: what is older the online store forgets."""
    return bool(rows) and moment.as_of_ms - rows[-1][0] <= 399 * DAY_MS


def _window(feature: Window, rows: Sequence[Row], moment: Moment) -> float | None:
    opened = moment.as_of_ms - feature.seconds * 1000
    seen = [row for row in rows if row[0] >= opened and KINDS[row[3]] in feature.types]
    total = sum(value for _, _, value, _ in seen) / 100
    match feature.aggregation:
        case Aggregation.COUNT:
            return len(seen)
        case Aggregation.DISTINCT:
            return len({item for _, item, _, _ in seen} - {0})
        case Aggregation.SUM:
            return total
        case Aggregation.MEAN:
            return total / len(seen) if seen else None


def _when(moment: Moment) -> datetime:
    return datetime.fromtimestamp(moment.as_of_ms // 1000, UTC)


def _at_home(moment: Moment) -> float | None:
    home = (moment.profile or {}).get("country")
    return None if home is None or moment.country is None else float(home == moment.country)


_ON_DEMAND: dict[str, Callable[[Moment], float | None]] = {
    "hour": lambda moment: _when(moment).hour,
    "weekday": lambda moment: _when(moment).weekday(),
    "month": lambda moment: _when(moment).month,
    "is_weekend": lambda moment: _when(moment).weekday() >= 5,
    "latitude": lambda moment: moment.latitude,
    "location_known": lambda moment: moment.country is not None or moment.latitude is not None,
    "at_home": _at_home,
}
