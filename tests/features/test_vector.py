"""The feature vector: one pair or many, the same bits, and what plain Python says."""

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.declared import FEATURE_NAMES, FEATURES
from features.eventlog import NO_RECORDS
from features.events import EventType, Records
from features.feature import Aggregation, Feature, OnDemand, Recency, Window
from features.moments import Ints, Moment
from features.on_demand import hour
from features.vector import FeatureVectors, feature_vectors, first_not_before
from tests.support.behaviour import (
    DAY_MS,
    MOMENTS,
    NOW_MS,
    ROWS,
    Row,
    as_records,
    before,
    reference,
)

PAIRS = st.lists(st.tuples(ROWS, MOMENTS), min_size=1, max_size=6)


def laid_out(pairs: list[tuple[list[Row], Moment]]) -> tuple[Records, Ints, Ints, list[Moment]]:
    """Return all pairs' events one after the other, cut at each pair's moment."""
    parts = [as_records(rows) for rows, _ in pairs]
    lengths = np.array([len(part) for part in parts], np.int64)
    starts = np.cumsum(lengths) - lengths
    cut = np.array([len(before(rows, moment.as_of_ms)) for rows, moment in pairs], np.int64)
    ends = starts + cut
    return np.concatenate(parts), starts, ends, [moment for _, moment in pairs]


def pairs_of(told: FeatureVectors, row: int) -> list[tuple[float, bool]]:
    """Return value and whether it is missing of each feature of a pair."""
    return list(zip(told.values[row].tolist(), told.missing[row].tolist(), strict=True))


@given(PAIRS)
def test_vectors_are_what_plain_python_says(pairs: list[tuple[list[Row], Moment]]) -> None:
    """Every feature of every pair equals the sum over its own events, bit for bit."""
    told = feature_vectors(*laid_out(pairs))

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
    records, starts, ends, moments = laid_out(pairs)
    alone = [
        feature_vectors(
            as_records(before(rows, moment.as_of_ms)),
            np.zeros(1, np.int64),
            np.array([len(before(rows, moment.as_of_ms))]),
            [moment],
        )
        for rows, moment in pairs
    ]
    many = feature_vectors(records, np.tile(starts, times), np.tile(ends, times), moments * times)

    for column in range(2):  # values, and what is missing
        expected = np.concatenate([each[column] for each in alone] * times)
        assert many[column].tobytes() == expected.tobytes()


@given(PAIRS)
def test_both_searches_find_the_same(pairs: list[tuple[list[Row], Moment]]) -> None:
    """The search for a few pairs and the one for many agree on every bound."""
    records, starts, ends, moments = laid_out(pairs)
    bounds = np.array([[each.as_of_ms - age for each in moments] for age in (0, DAY_MS, 10**15)])
    times = 65

    few = first_not_before(records["ts"], starts, ends, bounds)
    many = first_not_before(
        records["ts"], np.tile(starts, times), np.tile(ends, times), np.tile(bounds, times)
    )

    assert many.tolist() == np.tile(few, times).tolist()


def test_nobody_and_nothing() -> None:
    """No pairs make no rows; a shopper without events has the defaults."""
    none = np.zeros(0, np.int64)
    one = np.zeros(1, np.int64)
    moment = Moment(NOW_MS)

    assert feature_vectors(NO_RECORDS, none, none, []).values.shape == (0, len(FEATURES))
    told = feature_vectors(NO_RECORDS, one, one, [moment])
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
            Window("m", Aggregation.MEAN, (EventType.SESSION,), 5, "", default=-1.0),
            Window("d", Aggregation.DISTINCT, tuple(EventType), 20, ""),
        ],
    ]
    moment = Moment(NOW_MS)
    for features in lists:
        told = feature_vectors(
            as_records(rows),
            np.zeros(pairs, np.int64),
            np.full(pairs, len(rows)),
            [moment] * pairs,
            features,
        )
        expected = reference(rows, moment, features)
        assert [pairs_of(told, row) for row in range(pairs)] == [expected] * pairs


def test_one_pair_leaves_no_garbage() -> None:
    """The hot path makes no reference cycle for the collector to find."""
    records = as_records([(NOW_MS - n, 1, 1, 1) for n in range(9, 0, -1)])
    start, end = np.zeros(1, np.int64), np.array([9])
    feature_vectors(records, start, end, [Moment(NOW_MS)])
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            feature_vectors(records, start, end, [Moment(NOW_MS)])
        assert gc.collect() == 0
    finally:
        gc.enable()
