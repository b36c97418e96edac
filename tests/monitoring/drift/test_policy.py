"""What is watched: the default, one's own, and mistakes told by field."""

from pathlib import Path

import numpy as np
import pytest

from features.errors import InputError
from models.reference.rows import Rows
from monitoring.drift.policy import VARIABLE, parse_policy, policy_in_force

ROWS = Rows(
    np.zeros(2, np.uint64),
    np.zeros(2, np.int64),
    {"recent_spend": np.zeros(2), "hour": np.zeros(2)},
)


def test_the_default_is_complete() -> None:
    """An hour, and what the clock decides is left alone."""
    told = policy_in_force()
    assert told.window_ms == 3_600_000
    assert list(told.watched(ROWS).values) == ["recent_spend"]


def test_a_file_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not say stays as it is by default."""
    path = tmp_path / "drift.yaml"
    path.write_text("window_minutes: 5\nfloors: {recent_spend: 0.3}\nignore: []\n")
    monkeypatch.setenv(VARIABLE, str(path))
    told = policy_in_force()
    assert (told.window_minutes, told.limits.q) == (5, parse_policy("{}", "x").limits.q)
    assert (told.limits.floor_of("recent_spend"), told.limits.floor_of("hour")) == (0.3, 0.05)
    assert len(told.watched(ROWS).values) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("window_minutes: 0", "window_minutes: expected a whole number from 1 to 10080, got 0"),
        ("window_minutes: 1.5", "window_minutes: expected a whole number"),
        ("least_rows: true", "least_rows: expected a whole number"),
        ("q: 2", "q: expected a number from 0 to 1, got 2"),
        ("q: often", "q: expected a number from 0 to 1, got 'often'"),
        ("q: 0.1\nsuspect: 0.01", "suspect: expected at least q, 0.1, got 0.01"),
        ("floor: -1", "floor: expected a number"),
        ("floors: [a]", "floors: expected a mapping"),
        ("floors: {a: x}", "floors.a: expected a number"),
        ("ignore: hour", "ignore: expected a list"),
        ("windw: 3", "there is no 'windw'; "),
        ("[1]", "expected a mapping"),
        ("a: [", "not YAML"),
    ],
)
def test_mistakes_are_told_by_field(text: str, told: str) -> None:
    """With what was expected."""
    with pytest.raises(InputError) as raised:
        parse_policy(text, "drift.yaml")
    assert told in str(raised.value)
    assert str(raised.value).startswith("drift.yaml")


def test_columns_that_are_not_there() -> None:
    """A floor for a stranger is a mistake, and so is watching nothing."""
    with pytest.raises(InputError, match="floors: there is no 'recent_spent'; did you mean 'rec"):
        parse_policy("floors: {recent_spent: 1}", "x").watched(ROWS)
    with pytest.raises(InputError, match="ignore: expected to leave a column"):
        parse_policy("ignore: [hour, recent_spend, other]", "x").watched(ROWS)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Is told by name."""
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read"):
        policy_in_force(tmp_path / "none.yaml")
