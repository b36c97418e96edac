"""Durations come back as they were written, and never as nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import FieldError
from monitoring.slo.durations import duration, read_window


@given(st.integers(1, 999), st.sampled_from("smhd"))
def test_a_duration_is_as_long_as_what_was_read(count: int, unit: str) -> None:
    """By a name that all windows of that length have: two names would be two series."""
    window = read_window(f"{count}{unit}", "x")
    assert window.name == duration(window.seconds)
    assert read_window(window.name, "x") == window
    assert read_window("60m", "x").name == "1h"


@pytest.mark.parametrize(
    ("seconds", "told"), [(259_200, "3d"), (5_400, "90m"), (0.25, "250ms"), (1e-9, "1ms")]
)
def test_the_largest_unit_that_holds_it_whole(seconds: float, told: str) -> None:
    """Milliseconds at the least."""
    assert duration(seconds) == told


@pytest.mark.parametrize("raw", ["", "5", "0m", "5 m", "1h30m", "m", 5, None, ["5m"]])
def test_what_is_no_duration(raw: object) -> None:
    """Is refused by field."""
    with pytest.raises(FieldError, match="x: expected a duration"):
        read_window(raw, "x")
