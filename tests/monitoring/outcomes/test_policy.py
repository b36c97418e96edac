"""What counts and for how long: the default, one's own, and mistakes told by field."""

from pathlib import Path

import pytest

from features.errors import InputError
from monitoring.outcomes.policy import HOUR_MS, VARIABLE, parse_policy, policy_in_force


def test_the_default_is_complete() -> None:
    """Clicks count for a day, purchases for a week."""
    told = policy_in_force()
    assert told.windows_ms["click"] == 24 * HOUR_MS
    assert told.longest_ms == told.windows_ms["purchase"] == 168 * HOUR_MS
    assert told.matures_ms("click") == 24 * HOUR_MS + 15 * 60_000


def test_a_file_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not say stays as it is by default."""
    path = tmp_path / "outcomes.yaml"
    path.write_text("hours: {rating: 0.5}\n")
    monkeypatch.setenv(VARIABLE, str(path))
    told = policy_in_force()
    assert told.windows_ms == {"rating": HOUR_MS // 2}
    assert told.settle_ms == policy_in_force(_empty(tmp_path)).settle_ms


def _empty(folder: Path) -> Path:
    (folder / "empty.yaml").write_text("")
    return folder / "empty.yaml"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hours: {click: 0}", "hours.click: expected a number from 0.01 to 1440, got 0"),
        ("hours: {click: true}", "hours.click: expected a number from"),
        ("hours: {clik: 1}", "there is no 'clik'; did you mean 'click'?"),
        ("hours: {impression: 1}", "there is no 'impression'"),
        ("hours: {}", "hours: expected a type of events at least, got none"),
        ("hours: 3", "hours: expected a mapping"),
        ("settle_minutes: soon", "settle_minutes: expected a number from"),
        ("settle_minutes: .inf", "settle_minutes: expected a number from"),
        ("window: 3", "there is no 'window'; "),
        ("a: [", "not YAML"),
    ],
)
def test_mistakes_are_told_by_field(text: str, told: str) -> None:
    """With what was expected."""
    with pytest.raises(InputError) as raised:
        parse_policy(text, "outcomes.yaml")
    assert told in str(raised.value)
    assert str(raised.value).startswith("outcomes.yaml")
