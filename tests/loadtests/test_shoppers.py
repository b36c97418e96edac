"""Who comes, when, and how it is counted."""

from collections import Counter
from pathlib import Path

import pytest

from loadtests.shapes import SHAPES, phase_at
from loadtests.shoppers import Shoppers, read_shoppers
from loadtests.tally import Tally


def test_popularity_is_skewed() -> None:
    """By Zipf's law the first of a thousand comes about ten times as often as the tenth."""
    shoppers = Shoppers(read_shoppers(None))
    drawn = Counter(shoppers.draw() for _ in range(50_000))

    assert drawn["u00001"] / drawn["u00010"] == pytest.approx(10, rel=0.25)
    assert len(drawn) > 900


def test_ids_come_from_a_file(tmp_path: Path) -> None:
    """One id a line, in order, once each; blank lines are none."""
    (tmp_path / "ids").write_text("zoë\n\n b c \nzoë\n", encoding="utf-8")

    assert read_shoppers(str(tmp_path / "ids")) == ["zoë", "b c"]


def test_nobody_is_refused() -> None:
    """An empty list of shoppers is an error."""
    with pytest.raises(ValueError, match="at least one"):
        Shoppers([])


def test_shapes_end() -> None:
    """Every shape has a first and a last moment; the spike comes and goes."""
    for name, phases in SHAPES.items():
        whole = sum(phase.seconds for phase in phases)
        assert phase_at(name, 0) == phases[0]
        assert phase_at(name, whole) is None
        assert phase_at(name, whole, time_scale=2) is not None
    users = [phase_at("spike", at) for at in (30, 75, 120)]
    assert [phase and phase.users for phase in users] == [50, 600, 50]


def test_quantiles_are_exact() -> None:
    """A quantile is the smallest latency that so many requests did not exceed."""
    tally = Tally()
    for latency in range(1, 201):
        tally.request("a", float(latency))
    tally.request("b", 7.0, failure="HTTP 500")

    routes = tally.result("smoke")["routes"]

    told = [routes["a"][name] for name in ("p50_ms", "p95_ms", "p99_ms", "max_ms")]
    assert told == [100, 190, 198, 200]
    assert (routes["b"]["failures"], routes["b"]["p99_ms"]) == (1, 7.0)
