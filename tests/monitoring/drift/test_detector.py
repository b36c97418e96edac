"""States: what drifts is found in as many windows as it takes, and nothing else is."""

from itertools import count

import numpy as np
import pytest

from models.reference.rows import Rows
from monitoring.drift.columns import Column
from monitoring.drift.counts import Counts
from monitoring.drift.detector import Finding, Limits, State, Watched, judge
from monitoring.drift.reference import Reference
from monitoring.false_discovery import adjusted

NAMES = ("one", "two", "three")
LIMITS = Limits(least_rows=100)


class Shop:
    """Draws windows of 400 shoppers who come once."""

    def __init__(self) -> None:
        """Draw the reference, too."""
        self._random = np.random.default_rng(3)
        self.reference = Reference.of(self.rows(8_000))
        self.windows: list[Counts] = []
        self.told: dict[str, Finding] = {}

    def rows(self, size: int = 400, **shifts: float) -> Rows:
        """Return rows whose columns are moved by `shifts`."""
        drawn = {each: self._random.normal(shifts.get(each, 0), 1, size) for each in NAMES}
        who = self._random.integers(1, 2**63, size).astype(np.uint64)
        return Rows(who, np.zeros(size, np.int64), drawn)

    def look(self, size: int = 400, limits: Limits = LIMITS, **shifts: float) -> dict[str, str]:
        """Look at one more window, and return the states."""
        columns: tuple[Column, ...] = self.reference.columns
        self.windows.append(Counts.of(columns, self.rows(size, **shifts)))
        self.told = judge([Watched(self.reference, self.windows[-16:])], limits, self.told)
        return {name: each.state.value for name, each in self.told.items()}


@pytest.fixture
def shop() -> Shop:
    """Return a shop after four quiet windows."""
    shop = Shop()
    shop.look()
    for _ in range(4):
        assert set(shop.look().values()) == {"quiet"}
    return shop


def test_a_large_shift_is_found_at_once(shop: Shop) -> None:
    """And only the column that moved has drifted; soon its effect is told in full."""
    assert shop.look(one=1.0) == {"one": "drifted", "two": "quiet", "three": "quiet"}
    shop.look(one=1.0)
    assert shop.told["one"].effect == pytest.approx(1, abs=0.3)
    assert shop.told["one"].q < 1e-6


def test_a_column_may_be_suspect(shop: Shop) -> None:
    """Where q is between the two limits."""
    shop.look(two=0.5)
    q = shop.told["two"].q
    shop.windows.pop()
    assert shop.look(limits=Limits(q / 1e6, 1.0, least_rows=100), two=0.5)["two"] == "suspect"


def test_a_small_shift_is_found_in_windows_together(shop: Shop) -> None:
    """Too small for one window, and not for eight."""
    looks = next(at for at in count(1) if shop.look(three=0.12)["three"] == "drifted")
    assert 2 <= looks <= 12
    assert shop.told["three"].windows > 1


def test_what_is_over_is_forgotten(shop: Shop) -> None:
    """Once the windows together do not hold it any more."""
    shop.look(one=1.0)
    states = [shop.look()["one"] for _ in range(17)]
    assert states[0] == "drifted"
    assert states[-1] == "quiet"


def test_an_effect_below_the_floor_is_none(shop: Shop) -> None:
    """However sure it is; a column may have a floor of its own."""
    high = Limits(floor=2.0, floors={"two": 0.05}, least_rows=100)
    assert shop.look(limits=high, one=1.0, two=1.0) == {
        "one": "quiet",
        "two": "drifted",
        "three": "quiet",
    }


def test_too_few_rows_say_nothing_and_change_nothing() -> None:
    """Few windows together may be enough; a window without any is not looked at."""
    shop = Shop()
    assert set(shop.look(60).values()) == {"insufficient"}
    assert set(shop.look(60).values()) == {"quiet"}
    assert shop.look(60, one=3.0)["one"] == "drifted"
    assert shop.look(0) == {"one": "drifted", "two": "insufficient", "three": "insufficient"}
    assert shop.look(0)["one"] == "drifted"


def test_no_window_at_all() -> None:
    """Before anything was seen."""
    told = judge([Watched(Shop().reference, [])], LIMITS, {})
    assert {each.state for each in told.values()} == {State.INSUFFICIENT}


def test_q_values_are_benjamini_and_hochbergs() -> None:
    """Their own example of 1995, in any order."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240]
    p += [0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    assert sum(each <= 0.05 for each in adjusted(p)) == 4
    assert adjusted(p[::-1]) == pytest.approx(adjusted(p)[::-1])
    assert adjusted([0.02]) == [0.02]
