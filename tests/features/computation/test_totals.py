"""Totals between places are those of plain Python, however they are packed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.computation.totals import Totals

SETS = st.lists(st.lists(st.booleans(), min_size=16, max_size=16), min_size=1, max_size=20)
SMALL = st.integers(0, 40)
ANY = st.integers(-(2**31), 2**31 - 1)
CODES = st.integers(0, 15)
EVENTS = st.one_of(
    st.lists(st.tuples(CODES, SMALL), max_size=30), st.lists(st.tuples(CODES, ANY), max_size=30)
)


@given(EVENTS, SETS, st.data())
def test_differences_are_exact(
    events: list[tuple[int, int]], sets: list[list[bool]], data: st.DataObject
) -> None:
    """Counts and sums of every set between any two places, up to the farthest there are."""
    codes = np.array([code for code, _ in events], np.int64)
    values = np.array([value for _, value in events], np.int32)
    end = data.draw(st.integers(0, len(events)))
    begin = data.draw(st.integers(0, end))
    asked = np.arange(len(sets))
    places = np.full((len(sets), 1), begin), np.array([end])
    for told, amounts in ((None, np.ones(len(events), int).tolist()), (values, values.tolist())):
        totals = Totals(codes, np.array(sets), len(events), told)
        assert totals.between(asked, *places)[:, 0].tolist() == [
            sum(
                n
                for (code, _), n in zip(events[begin:end], amounts[begin:end], strict=True)
                if s[code]
            )
            for s in sets
        ]


@pytest.mark.parametrize("most", [1, 255, 256, 511, 512, 100_000])
def test_no_set_runs_into_its_neighbour(most: int) -> None:
    """Every one of them may hold all events."""
    codes = np.zeros(most, np.int64)
    totals = Totals(codes, np.ones((9, 16), bool), most)
    told = totals.between(np.arange(9), np.zeros((9, 1), np.int64), np.array([most]))
    assert told[:, 0].tolist() == [most] * 9
