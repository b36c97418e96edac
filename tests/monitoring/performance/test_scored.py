"""What a list came to, against figures worked out by hand, and coverage against drawing lists."""

import math

import numpy as np
import polars as pl
import pytest

from monitoring.outcomes.attribution import CREDITS
from monitoring.performance.coverage import DRAWN, Coverage
from monitoring.performance.scored import scored

CATEGORIES = pl.DataFrame(
    {"item_id": ["a", "b", "c", "d"], "category": ["red", "red", "white", None]},
    {"item_id": pl.String, "category": pl.String},
)


def lists(*rows: tuple[str, list[str], int]) -> pl.DataFrame:
    """Return lists with their items, and how many earlier pages showed."""
    return pl.DataFrame(
        [
            {"recommendation_id": name, "items": items, "after": after, "source": "model",
             "scores": [0.25] * len(items)}
            for name, items, after in rows
        ],
        {"recommendation_id": pl.String, "items": pl.List(pl.String), "after": pl.Int32,
         "source": pl.String, "scores": pl.List(pl.Float32)},
    )  # fmt: skip


def credit(
    name: str, item: str, position: int, at: int = 0, kind: str = "click"
) -> dict[str, object]:
    """Return a credited event."""
    return {
        "recommendation_id": name, "item_id": item, "position": position, "at_ms": at,
        "type": kind, "value": 7.5, "event_id": f"{name}{item}{at}{kind}",
    }  # fmt: skip


def told(rows: pl.DataFrame, *credits_: dict[str, object]) -> dict[str, dict[str, float]]:
    """Return what lists came to, by id."""
    frame = pl.DataFrame([*credits_], CREDITS, strict=False)
    return {row["recommendation_id"]: row for row in scored(rows, frame, CATEGORIES).to_dicts()}


def test_clicks_by_hand() -> None:
    """The second and third of three clicked, the third first; places are those of the list."""
    discount = [1.0, 1 / math.log2(3), 0.5]
    found = told(
        lists(("r1", ["a", "b", "c"], 10), ("r2", ["a", "b", "c"], 0), ("r3", ["a"], 0)),
        credit("r1", "b", 11, at=5),
        credit("r1", "c", 12, at=1),
        credit("r1", "b", 11, at=9),
        credit("r2", "a", 0),
    )
    first = found["r1"]
    assert first["gain"] == pytest.approx((discount[1] + discount[2]) / (discount[0] + discount[1]))
    assert (first["clicked"], first["clicks"], first["first"]) == (1, 2, 0)
    assert (found["r2"]["gain"], found["r2"]["first"]) == (1, 1)
    assert [found["r3"][name] for name in ("clicked", "gain", "first", "clicks")] == [0] * 4
    assert [found[name]["predicted"] for name in ("r1", "r3")] == [0.75, 0.25]
    assert {row["one"] for row in found.values()} == {1}


def test_purchases_and_variety_by_hand() -> None:
    """Money adds up; of three pairs two are of two categories; one item is no pair."""
    found = told(
        lists(
            ("r1", ["a", "b", "c"], 0), ("r2", ["d", "x", "y"], 0), ("r3", ["a"], 0), ("r4", [], 0)
        ),
        credit("r1", "a", 0, kind="purchase"),
        credit("r1", "a", 0, at=3, kind="purchase"),
    )
    assert (found["r1"]["bought"], found["r1"]["paid"], found["r1"]["clicked"]) == (1, 15, 0)
    assert [found[name]["unlike"] for name in ("r1", "r2")] == pytest.approx([2 / 3, 1])
    assert [found[f"r{n}"]["pairs"] for n in (1, 2, 3, 4)] == [1, 1, 0, 0]


def test_popular_items_are_not_predicted() -> None:
    """Their scores are no model's."""
    rows = lists(("r1", ["a"], 0)).with_columns(source=pl.lit("global"))
    found = told(rows, credit("r1", "a", 0))["r1"]
    assert (found["predicted"], found["clicks"], found["clicked"]) == (0, 0, 1)


def test_coverage_is_that_of_a_thousand_lists_drawn() -> None:
    """Whatever there are; its interval holds what other shoppers' lists say."""
    random = np.random.default_rng(3)
    weights = 1.0 / np.arange(1, 1_001)
    weights /= weights.sum()
    taste = random.permuted(np.tile(weights, (300, 1)), axis=1)[:, :1_000] * 0.3 + weights * 0.7

    def some(count: int) -> pl.DataFrame:
        users = random.integers(0, 300, count)
        items = [random.choice(1_000, 5, p=taste[user] / taste[user].sum()) for user in users]
        shown = [[f"i{n}" for n in each] for each in items]
        return pl.DataFrame({"shopper": [f"u{user}" for user in users], "items": shown})

    small, large, drawn = Coverage(), some(4_000), []
    half = pl.col("shopper").hash() % 2
    small.add(large.filter(half == 0))
    small.add(large.filter(half == 1))
    figure = small.figure(1_000)
    assert figure is not None
    assert figure.lists == 4_000
    for _ in range(10):
        rows = large["items"].to_list()
        chosen = random.integers(0, len(rows), DRAWN)
        drawn.append(len({item for row in chosen for item in rows[row]}) / 1_000)
    assert figure.value == pytest.approx(np.mean(drawn), rel=0.02)
    other = Coverage()
    other.add(some(4_000))
    second = other.figure(1_000)
    assert second is not None
    assert abs(second.value - figure.value) < 4 * math.sqrt(figure.variance + second.variance)


def test_coverage_of_too_little_is_none() -> None:
    """Fewer lists than are drawn, no catalogue, one tenth of the shoppers only."""
    rows = pl.DataFrame({"shopper": ["u1"] * DRAWN, "items": [["a"]] * DRAWN})
    told = Coverage()
    told.add(rows[1:])
    assert told.figure(10) is None
    told.add(rows[:1])
    assert told.figure(0) is None
    assert told.figure(10) is None
