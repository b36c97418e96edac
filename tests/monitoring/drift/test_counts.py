"""Counts add up, however rows were divided, and tell how often shoppers come back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.ids import stable_hashes
from models.reference.rows import SLOTS, Rows
from monitoring.drift.columns import CategoricalColumn, NumericColumn
from monitoring.drift.counts import Counts

COLUMNS = (
    NumericColumn.of("number", np.arange(9.0)),
    CategoricalColumn.of("word", ["a", "b", None]),
)


def _rows(seed: int, count: int) -> Rows:
    random = np.random.default_rng(seed)
    words = np.array(["a", "b", "c", None], object)[random.integers(0, 4, count)]
    return Rows(
        stable_hashes(str(each) for each in random.integers(0, 50, count)),
        random.integers(0, SLOTS, count),
        {"number": random.normal(5, 5, count), "word": words},
    )


def _same(one: Counts, other: Counts) -> bool:
    return (
        np.array_equal(one.slots, other.slots)
        and np.array_equal(one.buckets, other.buckets)
        and all(np.array_equal(one.bins[name], other.bins[name]) for name in one.bins)
    )


@given(st.integers(0, 99), st.integers(0, 60), st.integers(0, 60))
def test_parts_add_up_to_the_whole(seed: int, count: int, cut: int) -> None:
    """Exactly, in any order."""
    rows = _rows(seed, count)
    first, rest = rows.take(np.arange(count) < cut), rows.take(np.arange(count) >= cut)
    parts = [Counts.of(COLUMNS, first), Counts.of(COLUMNS, rest)]
    whole = Counts.of(COLUMNS, rows)
    assert whole.rows == count
    assert _same(parts[0] + parts[1], whole)
    assert _same(sum(parts[::-1], Counts()), whole)


def test_a_column_that_vanished_is_missing() -> None:
    """Rows that lack it altogether are rows in which it is not known."""
    rows = _rows(0, 7)
    told = Counts.of(COLUMNS, Rows(rows.shoppers, rows.slots, {"word": rows.values["word"]}))
    assert told.bins["number"].tolist()[:2] == [7, 0]


@pytest.mark.parametrize(("shoppers", "each"), [(50, 20), (1, 30), (3_000, 1), (20_000, 5)])
def test_buckets_tell_how_often_shoppers_come_back(shoppers: int, each: int) -> None:
    """Also where many share a bucket; nobody at all comes once."""
    who = np.repeat(stable_hashes(map(str, range(shoppers))), each)
    told = Counts.of((), Rows(who, np.zeros(len(who), np.int64), {}))
    assert told.rows_per_shopper() == pytest.approx(each, rel=0.25)
    assert Counts().rows_per_shopper() == 1
