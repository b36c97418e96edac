"""Comparisons: chance is as rare as p says, and effects have the size they are said to have."""

import numpy as np
import pytest
from scipy.stats import ks_2samp, wasserstein_distance

from models.reference.rows import Rows
from monitoring.drift.comparison import Company, Compared, combined, compare
from monitoring.drift.counts import Counts
from monitoring.drift.detector import compared_all
from monitoring.drift.reference import Matched, Reference

RANDOM = np.random.default_rng(5)


def _rows(values: dict[str, np.ndarray], shoppers: np.ndarray | None = None) -> Rows:
    count = len(next(iter(values.values())))
    who = np.arange(count) if shoppers is None else shoppers
    return Rows(who.astype(np.uint64) * np.uint64(2_654_435_761), np.zeros(count, int), values)


def _compared(reference: Rows, window: Rows, words: tuple[str, ...] = ()) -> dict[str, Compared]:
    known = Reference.of(reference, words)
    return compared_all(known, Counts.of(known.columns, window))


def test_effects_are_scipys_within_the_bins() -> None:
    """Wasserstein's distance in standard deviations of the reference."""
    one, other = RANDOM.normal(size=20_000), RANDOM.normal(0.3, 1, 20_000)
    told = _compared(_rows({"n": one}), _rows({"n": other}))["n"]
    assert told.effect == pytest.approx(wasserstein_distance(one, other) / one.std(), rel=0.05)
    assert told.p < 1e-9


def test_kolmogorov_and_smirnov_agree_with_scipy() -> None:
    """Where no other test has a say: one bin is missing, so that all of it is in the first test."""
    known = Reference.of(_rows({"n": RANDOM.exponential(size=3_000)}))
    other = RANDOM.exponential(size=900)
    column = known.column("n")
    counts = np.bincount(column.bins_of(other), minlength=column.size)
    matched = known.matched(np.eye(1, 168, dtype=int)[0])["n"]
    told = compare(column, counts, matched, known.alike["n"], Company(900, 1))
    gap = np.abs(np.cumsum(counts / 900 - matched.shares)).max()
    assert gap == pytest.approx(
        ks_2samp(np.repeat(np.arange(column.size), counts), _drawn(matched)).statistic, abs=1e-6
    )
    assert 0.001 < told.p < 1


def _drawn(matched: Matched) -> np.ndarray:
    return np.repeat(
        np.arange(len(matched.shares)), np.round(matched.shares / matched.strangers).astype(int)
    )


@pytest.mark.parametrize("kind", ["number", "word"])
def test_chance_is_as_rare_as_it_is_said(kind: str) -> None:
    """Rows of shoppers who come twenty times: of 400 quiet windows some 5 % have p < 0.05."""
    random = np.random.default_rng(11)

    def drawn(shoppers: int) -> Rows:
        who = np.repeat(np.arange(shoppers), 20)
        own = np.repeat(random.normal(size=shoppers), 20) * 0.55
        values = own + random.normal(size=len(who)) * 0.835
        told = values if kind == "number" else np.floor(values * 2).astype(str).astype(object)
        return _rows({"x": told}, who + int(random.integers(1, 2**30)))

    known = Reference.of(drawn(1_000), ("x",) if kind == "word" else ())
    p = [compared_all(known, Counts.of(known.columns, drawn(50)))["x"].p for _ in range(400)]
    assert 0.01 < np.mean(np.array(p) < 0.05) < 0.09
    assert np.mean(np.array(p) < 0.01) < 0.03


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (np.full(900, 3.0), np.full(900, 4.0)),
        (RANDOM.normal(size=900), np.full(900, np.nan)),
        (np.where(RANDOM.random(900) < 0.5, np.nan, 1.0), np.full(900, 1.0)),
        (RANDOM.normal(size=900), np.full(900, 1e30)),
    ],
)
def test_columns_without_a_spread_are_told_apart(before: np.ndarray, now: np.ndarray) -> None:
    """A constant that is another, what is known no more, what is known now, what is beyond."""
    told = _compared(_rows({"n": before}), _rows({"n": now}))["n"]
    assert told.p < 1e-6
    assert told.effect > 0.3


def test_what_is_constant_and_stays_so_is_quiet() -> None:
    """Nothing is divided by nothing."""
    same = _rows({"n": np.full(900, 3.0), "c": np.array(["a"] * 900, object)})
    told = _compared(same, same, ("c",)).values()
    assert all(each.p > 0.99 and each.effect == 0 for each in told)


def test_a_column_of_which_nothing_was_known_is_left_out() -> None:
    """Nothing can be said of it."""
    rows = _rows({"n": np.full(9, np.nan), "c": np.array([None] * 9, object), "m": np.arange(9.0)})
    assert [each.name for each in Reference.of(rows, ("c",)).columns] == ["m"]


def test_new_levels_and_moved_ones_are_found() -> None:
    """2 % of a level that the reference never saw; and none of a rare one."""
    before = np.array(["a", "b"] * 2_000, object)
    now = before.copy()
    now[:80] = "z"
    told = _compared(_rows({"c": before}), _rows({"c": now}), ("c",))["c"]
    assert told.p < 1e-6
    assert told.effect > 0.05


def test_combined_p_values_say_what_all_say() -> None:
    """One that is tiny carries, equal ones stay what they are, and none is beyond its range."""
    assert combined([0.3, 0.3, 0.3]) == pytest.approx(0.3)
    assert combined([1e-9, 0.9, 1.0]) == pytest.approx(3e-9, rel=0.1)
    assert 0 <= combined([0.0, 1.0]) < 1e-10
    assert combined([1.0, 1.0]) > 0.99
