"""What a list of features asks of a shopper's events, as arrays: made once a list.

A *set* is a distinct tuple of event types. Window and recency features name their set by its
row, so that all features of a vector are taken from a few running totals at once.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from features.declared import FEATURES
from features.events import TYPE_CODES, EventType
from features.feature import Aggregation, Feature, Recency, Window

Types = tuple[EventType, ...]

_OF_VALUES = frozenset((Aggregation.SUM, Aggregation.MEAN))


class Plan:
    """Sets, windows and recencies of `features`; `others` are those that need no event.

    members         bool[sets, 16], which type codes are in a set; the first `summed` sets
                    are those whose values are summed
    spans_ms        int64[spans, 1], the distinct window lengths
    window_*        per window feature: its column in the vector, its set, its span, its default
    valued          the windows that are sums or means, and of these `is_sum`
    means           the windows that are means
    distinct        the windows that count different items
    recency_*       per recency feature: its column, its set, its default
    """

    def __init__(self, features: Sequence[Feature]) -> None:
        """Plan for these features, in the order of the vector's columns."""
        told = list(enumerate(features))
        windows = [(column, each) for column, each in told if isinstance(each, Window)]
        recencies = [(column, each) for column, each in told if isinstance(each, Recency)]
        self.others = [(at, each) for at, each in told if not isinstance(each, Window | Recency)]
        summed = [w.types for _, w in windows if w.aggregation in _OF_VALUES]
        counted = [w.types for _, w in windows] + [r.types for _, r in recencies]
        sets = list(dict.fromkeys((*summed, *counted)))
        self.summed = len(set(summed))
        self.members = _members(sets)
        self._plan_windows(windows, sets)
        self._plan_recencies(recencies, sets)

    def _plan_windows(self, windows: list[tuple[int, Window]], sets: list[Types]) -> None:
        spans = sorted({window.seconds for _, window in windows})
        self.spans_ms = _integers(spans)[:, None] * 1_000
        self.window_columns = _integers(column for column, _ in windows)
        self.window_sets = _integers(sets.index(window.types) for _, window in windows)
        self.window_spans = _integers(spans.index(window.seconds) for _, window in windows)
        kinds = [window.aggregation for _, window in windows]
        valued = [row for row, kind in enumerate(kinds) if kind in _OF_VALUES]
        self.valued = _integers(valued)
        self.means = _rows(kinds, Aggregation.MEAN)
        self.distinct = _rows(kinds, Aggregation.DISTINCT)
        self.is_sum = np.array([kinds[row] is Aggregation.SUM for row in valued], bool)[:, None]
        self.window_defaults = np.array([w.default for _, w in windows], np.float64)[:, None]

    def _plan_recencies(self, recencies: list[tuple[int, Recency]], sets: list[Types]) -> None:
        self.recency_columns = _integers(column for column, _ in recencies)
        self.recency_sets = [sets.index(recency.types) for _, recency in recencies]
        self.recency_defaults = [recency.default for _, recency in recencies]


def plan_for(features: Sequence[Feature]) -> Plan:
    """Return the plan for `features`; the declared ones have theirs already."""
    return _DECLARED if features is FEATURES else Plan(features)


def _rows(kinds: Sequence[Aggregation], wanted: Aggregation) -> list[int]:
    return [row for row, kind in enumerate(kinds) if kind is wanted]


def _members(sets: Sequence[Types]) -> npt.NDArray[np.bool_]:
    members = np.zeros((len(sets), 16), bool)
    for row, types in enumerate(sets):
        members[row, [TYPE_CODES[kind] for kind in types]] = True
    return members


def _integers(values: Iterable[int]) -> npt.NDArray[np.int64]:
    return np.fromiter(values, np.int64)


_DECLARED = Plan(FEATURES)
