"""The reference: hours of their own where there is enough of them, and how alike rows are."""

import numpy as np
import pytest

from models.reference.rows import SLOTS, Rows
from monitoring.drift import reference
from monitoring.drift.counts import Counts
from monitoring.drift.detector import compared_all
from monitoring.drift.reference import Reference

RANDOM = np.random.default_rng(2)


def _rows(slots: np.ndarray, values: np.ndarray, shoppers: np.ndarray | None = None) -> Rows:
    who = np.arange(len(slots)) if shoppers is None else shoppers
    return Rows(who.astype(np.uint64), slots, {"n": values})


def _window(*slots: int) -> np.ndarray:
    return np.bincount(slots, minlength=SLOTS)


def test_hours_are_compared_with_their_like(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour of the week with enough rows, else that of the day, else everything."""
    monkeypatch.setattr(reference, "LEAST_IN_SLOT", 100)
    monkeypatch.setattr(reference, "LEAST_IN_HOUR", 50)
    slots = np.repeat([3, 27, 51, 8], [100, 60, 60, 5])
    known = Reference.of(_rows(slots, slots.astype(float)))
    told = {hour: known.matched(_window(hour))["n"] for hour in (3, 27, 8, 97)}
    rows = {hour: round(1 / each.strangers) for hour, each in told.items()}
    assert rows == {3: 100, 27: 220, 8: 225, 97: 225}
    mixed = known.matched(_window(3, 8))["n"]
    assert mixed.shares.sum() == pytest.approx(1)
    assert mixed.strangers == pytest.approx(0.25 / 100 + 0.25 / 225)


def test_the_rhythm_of_the_day_is_no_drift() -> None:
    """What every evening is like is normal in the evening, and only then."""
    slots = np.arange(48_000) % SLOTS
    evening = (slots % 24 > 17) * 1.0
    known = Reference.of(_rows(slots, evening + RANDOM.normal(size=len(slots))))
    late, early = np.full(800, 20), np.full(800, 9)
    values = 1 + RANDOM.normal(size=800)
    told = [
        compared_all(known, Counts.of(known.columns, _rows(hour, values)))["n"].p
        for hour in (late, early)
    ]
    assert told[0] > 0.001
    assert told[1] < 1e-9


def test_how_alike_rows_of_a_shopper_are() -> None:
    """The intraclass correlation that they were drawn with; none where nobody comes twice."""
    who = np.repeat(np.arange(2_000), 10)
    own = np.repeat(RANDOM.normal(size=2_000), 10) * np.sqrt(0.3)
    values = own + RANDOM.normal(size=len(who)) * np.sqrt(0.7)
    slots = who % SLOTS
    told = Reference.of(_rows(slots, values, who))
    assert told.alike["n"].place == pytest.approx(0.3, abs=0.03)
    assert told.alike["n"].width == pytest.approx(0.09, abs=0.04)
    assert Reference.of(_rows(slots, values)).alike["n"].place == 0


def test_in_how_much_company_rows_of_the_reference_are() -> None:
    """What five rows each of twenty shoppers do to a mean, within an hour and over two."""
    who = np.repeat(np.arange(400), 5)
    one = Reference.of(_rows(np.zeros(2_000, int), np.zeros(2_000), who))
    assert one.matched(_window(0))["n"].company == pytest.approx(4 / 2_000)
    two = Reference.of(_rows(np.tile([0, 1], 2_000), np.zeros(4_000), np.repeat(who, 2)))
    told = two.matched(_window(0, 1))["n"]
    assert told.strangers == pytest.approx(1 / 4_000)
    assert told.company == pytest.approx(9 / 4_000)
    alone = Reference.of(_rows(np.zeros(2_000, int), np.zeros(2_000)))
    assert alone.matched(_window(0))["n"].company == 0


def test_a_column_is_found_by_name() -> None:
    """And one that is not there is not."""
    known = Reference.of(_rows(np.zeros(3, int), np.arange(3.0)))
    assert known.column("n").name == "n"
    with pytest.raises(StopIteration):
        known.column("m")
