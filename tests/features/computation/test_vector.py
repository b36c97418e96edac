"""The feature vector: one pair or many, the same bits, and what plain Python says."""

import gc
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.computation.slices import Slices
from features.computation.vector import FeatureVectors, feature_vectors, first_not_before
from features.declared import FEATURE_NAMES, FEATURES
from features.eventlog import NO_RECORDS
from features.events import EventType, Records
from features.feature import Aggregation, Feature, OnDemand, Profile, Recency, Window
from features.moments import Moment, Moments
from features.on_demand import hour
from tests.support.behaviour import (
    DAY_MS,
    KINDS,
    MOMENTS,
    NOW_MS,
    ROWS,
    Row,
    as_records,
    before,
    reference,
)

PAIRS = st.lists(st.tuples(ROWS, MOMENTS), min_size=1, max_size=6)


def laid_out(pairs: list[tuple[list[Row], Moment]]) -> tuple[Records, Slices, list[Moment]]:
    """Return all pairs' events one after the other, cut at each pair's moment."""
    parts = [as_records(rows) for rows, _ in pairs]
    lengths = np.array([len(part) for part in parts], np.int64)
    starts = np.cumsum(lengths) - lengths
    cut = np.array([len(before(rows, moment.as_of_ms)) for rows, moment in pairs], np.int64)
    ends = starts + cut
    return np.concatenate(parts), Slices.whole(starts, ends), [moment for _, moment in pairs]


def vectors(
    records: Records,
    slices: Slices,
    moments: list[Moment],
    features: Sequence[Feature] = FEATURES,
) -> FeatureVectors:
    """Return the features of pairs."""
    return feature_vectors(records, slices, Moments.of(moments), features)


def first(count: int, pairs: int = 1) -> Slices:
    """Return the slices of pairs who all see the first so many events."""
    return Slices.whole(np.zeros(pairs, np.int64), np.full(pairs, count))


def pairs_of(told: FeatureVectors, row: int) -> list[tuple[float, bool]]:
    """Return value and whether it is missing of each feature of a pair."""
    return list(zip(told.values[row].tolist(), told.missing[row].tolist(), strict=True))


@given(PAIRS)
def test_vectors_are_what_plain_python_says(pairs: list[tuple[list[Row], Moment]]) -> None:
    """Every feature of every pair equals the sum over its own events, bit for bit."""
    told = vectors(*laid_out(pairs))

    assert told.values.dtype == np.float32
    for row, (rows, moment) in enumerate(pairs):
        expected = reference(before(rows, moment.as_of_ms), moment, FEATURES)
        assert dict(zip(FEATURE_NAMES, pairs_of(told, row), strict=True)) == dict(
            zip(FEATURE_NAMES, expected, strict=True)
        )


@given(PAIRS, st.integers(1, 40))
@settings(max_examples=50)
def test_a_batch_equals_its_pairs_bitwise(
    pairs: list[tuple[list[Row], Moment]], times: int
) -> None:
    """A pair has the same bits alone, among others, and in a batch large enough to bisect."""
    records, slices, moments = laid_out(pairs)
    alone = [
        vectors(as_records(past), first(len(past)), [moment])
        for past, moment in ((before(rows, moment.as_of_ms), moment) for rows, moment in pairs)
    ]
    tiled = Slices.whole(np.tile(slices.starts, times), np.tile(slices.ends, times))
    many = vectors(records, tiled, moments * times)

    for column in range(2):  # values, and what is missing
        expected = np.concatenate([each[column] for each in alone] * times)
        assert many[column].tobytes() == expected.tobytes()


@given(PAIRS)
def test_both_searches_find_the_same(pairs: list[tuple[list[Row], Moment]]) -> None:
    """The search for a few pairs and the one for many agree on every bound."""
    records, slices, moments = laid_out(pairs)
    starts, ends = slices.starts, slices.ends
    bounds = np.array([[each.as_of_ms - age for each in moments] for age in (0, DAY_MS, 10**15)])
    times = 65

    few = first_not_before(records["ts"], starts, ends, bounds)
    many = first_not_before(
        records["ts"], np.tile(starts, times), np.tile(ends, times), np.tile(bounds, times)
    )

    assert many.tolist() == np.tile(few, times).tolist()


def test_nobody_and_nothing() -> None:
    """No pairs make no rows; a shopper without events has the defaults."""
    moment = Moment(NOW_MS)

    assert vectors(NO_RECORDS, first(0, 0), []).values.shape == (0, len(FEATURES))
    told = vectors(NO_RECORDS, first(0), [moment])
    assert pairs_of(told, 0) == reference([], moment, FEATURES)


@pytest.mark.parametrize("pairs", [1, 100])
def test_any_list_of_features_is_computed(pairs: int) -> None:
    """Another order, other windows, no windows at all: a column each, in that order."""
    rows = [(NOW_MS - 1000 * n, 1, 1_00, n % 8) for n in range(30, 0, -1)]
    clicks = (EventType.CLICK,)
    lists: list[list[Feature]] = [
        [],
        [OnDemand("hour", hour, "")],
        [Recency("r", clicks, "", default=9.0)],
        [Window("s", Aggregation.SUM, clicks, 60, ""), Recency("r", clicks, "", default=9.0)],
        [
            *reversed(FEATURES),
            Window("m", Aggregation.MEAN, (EventType.SESSION,), 5, "", default=-1.0, low=-1),
            Window("d", Aggregation.DISTINCT, tuple(EventType), 20, ""),
        ],
    ]
    moment = Moment(NOW_MS)
    for features in lists:
        told = vectors(as_records(rows), first(len(rows), pairs), [moment] * pairs, features)
        expected = reference(rows, moment, features)
        assert [pairs_of(told, row) for row in range(pairs)] == [expected] * pairs


@pytest.mark.parametrize(("days", "known"), [(398, True), (400, False)])
def test_nothing_is_known_of_who_is_idle_for_too_long(days: int, known: bool) -> None:
    """What the online store would have forgotten is not known anywhere."""
    records = as_records([(NOW_MS - days * DAY_MS, 1, 1, 1)])
    told = vectors(records, first(1), [Moment(NOW_MS)])
    assert told.missing[0, FEATURE_NAMES.index("recent_click_count")] == (not known)


@pytest.mark.parametrize(
    ("age", "opt_in"), [(-1, 0.5), (131, 2), (30.5, -1), (float("nan"), "yes"), (3e9, None)]
)
def test_what_cannot_be_is_not_believed(age: object, opt_in: object) -> None:
    """Numbers out of the declared range or type are missing, as those that are not there."""
    moment = Moment(NOW_MS, latitude=4_800.0, profile={"age": age, "marketing_opt_in": opt_in})
    told = vectors(NO_RECORDS, first(0), [moment])
    for name in ("age", "marketing_opt_in", "latitude"):
        column = FEATURE_NAMES.index(name)
        assert (told.values[0, column], told.missing[0, column]) == (0, True)


@pytest.mark.parametrize("told", [1e39, float("inf"), -1e300, float("-inf")])
def test_a_number_that_a_vector_cannot_hold_is_not_believed(told: float) -> None:
    """It would be infinite there, which most trainers refuse."""
    feature = Profile("spent", "Money.", default=7, low=-math.inf)
    moment = Moment(NOW_MS, profile={"spent": told})
    (found,) = pairs_of(vectors(NO_RECORDS, first(0), [moment], [feature]), 0)
    assert found == (7, True)


@pytest.mark.parametrize("pairs", [1, 100])
def test_windows_and_recencies_keep_to_their_range(pairs: int) -> None:
    """Five stars are believed, seven are not, whatever they are summed up by."""
    rows = [(NOW_MS - 3_000, 1, 5_00, KINDS.index(EventType.RATING))] * 3
    rows += [(NOW_MS - 2_000, 2, 11_00, KINDS.index(EventType.RATING))]
    types = (EventType.RATING,)

    def of(seconds: int, aggregation: Aggregation, **bounds: Any) -> Window:
        return Window("w", aggregation, types, seconds, "", **bounds)

    mean, count = Aggregation.MEAN, Aggregation.COUNT
    told: dict[Feature, tuple[float, bool]] = {
        of(9, mean, default=3.75, high=5): (3.75, True),
        of(9, mean, default=3.75, high=6.5): (6.5, False),
        of(9, Aggregation.SUM, high=25.5): (0, True),
        of(9, Aggregation.SUM, high=26): (26, False),
        of(9, count, default=5, low=5): (5, True),
        of(9, count, default=4, low=4): (4, False),
        of(9, Aggregation.DISTINCT, default=1, high=1): (1, True),
        Recency("r", types, "", default=9, low=2.5): (9, True),
        Recency("r", types, "", default=9, low=2): (2, False),
    }
    features = list(told)
    found = vectors(as_records(rows), first(4, pairs), [Moment(NOW_MS)] * pairs, features)
    assert [pairs_of(found, row) for row in range(pairs)] == [list(told.values())] * pairs
    assert reference(rows, Moment(NOW_MS), features) == list(told.values())


def test_one_pair_leaves_no_garbage() -> None:
    """The hot path makes no reference cycle for the collector to find."""
    records = as_records([(NOW_MS - n, 1, 1, 1) for n in range(9, 0, -1)])
    vectors(records, first(9), [Moment(NOW_MS)])
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            vectors(records, first(9), [Moment(NOW_MS)])
        assert gc.collect() == 0
    finally:
        gc.enable()
