"""What a list of features asks of a shopper's events, as arrays: made once a list.

A *set* is a distinct tuple of event types, all of them kept long or none: what the rings hold of
these begins at different places. A window or recency feature is about one set or two, its *parts*,
so that all features of a vector are taken from a few running totals at once.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from features.declared import FEATURES
from features.events import TYPE_CODES, EventType
from features.feature import (
    LARGEST,
    Aggregation,
    Dtype,
    Feature,
    OnDemand,
    Profile,
    Recency,
    Window,
)
from features.history import HISTORY_TYPES

Types = tuple[EventType, ...]

_OF_VALUES = frozenset((Aggregation.SUM, Aggregation.MEAN))


class Plan:
    """Sets, windows and recencies of `features`, and the others, which need no event.

    members         bool[sets, 16], which type codes are in a set; the first `summed` sets
                    are those whose values are summed, the first `counted` those of windows
    is_long         bool[sets], whether its types are kept long
    spans_ms        int64[spans, 1], the distinct window lengths
    part_*          per part of a window: its set, its span
    window_*        per window feature: its column in the vector, its span, its default, its
                    range, and where its parts begin
    valued_*        of the windows that are sums or means: which, their parts, where these begin,
                    and whether each is a sum
    means           the windows that are means
    distinct        the windows that count different items, and the sets of each
    recency_*       per recency feature: its column, its default, which is its most, its least, the
                    type codes that it is about as bool[16], and the same in parts, those that are
                    kept long told apart
    others, other_* the features that need no event; of each its column, its default, its range,
                    and whether its numbers are whole
    """

    def __init__(self, features: Sequence[Feature]) -> None:
        """Plan for these features, in the order of the vector's columns."""
        told = list(enumerate(features))
        windows = [(column, each) for column, each in told if isinstance(each, Window)]
        recencies = [(column, each) for column, each in told if isinstance(each, Recency)]
        summed = [part for _, w in windows if w.aggregation in _OF_VALUES for part in _parts(w)]
        counted = [part for _, window in windows for part in _parts(window)]
        timed = [part for _, recency in recencies for part in _parts(recency)]
        self._sets = list(dict.fromkeys((*summed, *counted, *timed)))
        self.summed, self.counted = len(set(summed)), len(set(counted))
        self.members = _members(self._sets)
        self.is_long = np.array([kinds[0] in HISTORY_TYPES for kinds in self._sets], bool)
        self._plan_windows(windows)
        self._plan_recencies(recencies)
        self._plan_others([(at, each) for at, each in told if isinstance(each, Profile | OnDemand)])

    def _plan_windows(self, windows: list[tuple[int, Window]]) -> None:
        spans = sorted({window.seconds for _, window in windows})
        parts = [
            (row, kinds) for row, (_, window) in enumerate(windows) for kinds in _parts(window)
        ]
        owners = _integers(row for row, _ in parts)
        self.spans_ms = _integers(spans)[:, None] * 1_000
        self.part_sets = _integers(self._sets.index(kinds) for _, kinds in parts)
        self.part_spans = _integers(spans.index(windows[row][1].seconds) for row, _ in parts)
        self.window_columns = _integers(column for column, _ in windows)
        self.window_spans = _integers(spans.index(window.seconds) for _, window in windows)
        self.window_defaults = _numbers(window.default for _, window in windows)
        self.window_lows = _numbers(window.low for _, window in windows)
        self.window_highs = _numbers(window.high for _, window in windows)
        self.window_begins = owners.searchsorted(np.arange(len(windows)))
        kinds = [window.aggregation for _, window in windows]
        self.valued = _integers(row for row, kind in enumerate(kinds) if kind in _OF_VALUES)
        self.valued_parts = np.flatnonzero(np.isin(owners, self.valued))
        self.valued_begins = owners[self.valued_parts].searchsorted(self.valued)
        self.valued_is_sum = np.array([kinds[row] is Aggregation.SUM for row in self.valued], bool)
        self.means = [row for row, kind in enumerate(kinds) if kind is Aggregation.MEAN]
        self.distinct = [
            (row, self.part_sets[owners == row].tolist())
            for row, kind in enumerate(kinds)
            if kind is Aggregation.DISTINCT
        ]

    def _plan_recencies(self, recencies: list[tuple[int, Recency]]) -> None:
        self.recency_columns = _integers(column for column, _ in recencies)
        self.recency_defaults = [recency.default for _, recency in recencies]
        self.recency_lows = [recency.low for _, recency in recencies]
        sets = [[self._sets.index(kinds) for kinds in _parts(each)] for _, each in recencies]
        members: list[npt.NDArray[np.bool_]] = list(self.members)
        self.recency_parts = [[(bool(self.is_long[n]), members[n]) for n in some] for some in sets]
        self.recency_members: list[npt.NDArray[np.bool_]] = [
            np.logical_or.reduce(self.members[some], axis=0) for some in sets
        ]

    def _plan_others(self, others: list[tuple[int, Profile | OnDemand]]) -> None:
        self.others = [each for _, each in others]
        self.other_columns = _integers(column for column, _ in others)
        self.other_defaults = _numbers(each.default for each in self.others)
        self.other_lows = _numbers(max(each.low, -LARGEST) for each in self.others)
        self.other_highs = _numbers(min(each.high, LARGEST) for each in self.others)
        kinds = [each.dtype != Dtype.FLOAT for each in self.others]
        self.other_is_whole = np.array(kinds, bool)[:, None]


def plan_for(features: Sequence[Feature]) -> Plan:
    """Return the plan for `features`; the declared ones have theirs already."""
    return _DECLARED if features is FEATURES else Plan(features)


def _parts(feature: Window | Recency) -> list[Types]:
    """Return the types of a feature that are kept long, and those that are not, if any."""
    long = tuple(kind for kind in feature.types if kind in HISTORY_TYPES)
    others = tuple(kind for kind in feature.types if kind not in HISTORY_TYPES)
    return [part for part in (long, others) if part]


def _members(sets: Sequence[Types]) -> npt.NDArray[np.bool_]:
    members = np.zeros((len(sets), 16), bool)
    for row, types in enumerate(sets):
        members[row, [TYPE_CODES[kind] for kind in types]] = True
    return members


def _numbers(values: Iterable[float]) -> npt.NDArray[np.float64]:
    """Return `values` as a column, a row each."""
    return np.fromiter(values, np.float64)[:, None]


def _integers(values: Iterable[int]) -> npt.NDArray[np.int64]:
    return np.fromiter(values, np.int64)


_DECLARED = Plan(FEATURES)
