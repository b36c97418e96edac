"""A finding as it is left by one monitor and read by whoever acts on it."""

from pathlib import Path

import pytest

from monitoring.finding import FOLDER, Estimate, Finding, Kind, leave, left
from tests.support.found import found


def test_what_is_read_is_what_was_left(tmp_path: Path) -> None:
    """To the last figure, figures that are not there included."""
    whole = found(
        kind=Kind.PERFORMANCE,
        subject="conversion",
        segment="market=FR",
        live=Estimate(0.1, 0.05, 0.2),
        incumbent=Estimate(0.2, 0.1, 0.3),
        lists_per_day=123.0,
    )
    leave(tmp_path, "performance", [found(), whole])
    assert left(tmp_path, "performance") == [found(), whole]
    leave(tmp_path, "performance", [])
    assert left(tmp_path, "performance") == []


@pytest.mark.parametrize(
    "content",
    ["", "7", "[7]", '[{"kind": "drift"}]', '[{"kind": "rain", "severity": "high"}]', "{"],
)
def test_what_cannot_be_read_says_nothing(tmp_path: Path, content: str) -> None:
    """It is not the same as nothing being found."""
    assert left(tmp_path, "performance") is None
    path = tmp_path / FOLDER / "performance.json"
    path.parent.mkdir()
    path.write_text(content)
    assert left(tmp_path, "performance") is None


def test_a_finding_is_told_in_half_a_sentence() -> None:
    """With its segment, where it has one."""
    assert str(found()) == "drift of spend: 0.4, limit 0.05 (high)"
    assert "drift of spend of market=FR" in str(found(segment="market=FR"))
    assert found().key != found(segment="market=FR").key
    with pytest.raises(TypeError):
        Finding.of({**found().told(), "weather": "rain"})
