"""Which way to order candidates is kept, and where none is."""

import numpy as np
import pytest

from models import orders
from models.orders import ChosenOrder, Kept, Order, above_floor, best_of, choose_order
from models.timeline import VALIDATION, Timeline
from tests.support.histories import log_of, tasteful, tasteless, wines


def order_of(by_shopper: float, of_shown: float = 0.5, lists: int = 50) -> Order:
    """Return an order with these means."""
    return Order(b"", _around(by_shopper), np.full(100, 0.2), _around(of_shown)[:lists], {})


def _around(mean: float) -> orders.Doubles:
    wavering: orders.Doubles = mean + 0.01 * np.sin(np.arange(100.0))
    return wavering


@pytest.mark.parametrize(
    ("by_sum", "by_trees", "kept"),
    [
        (0.3, 0.4, Kept.TREES),
        (0.3, 0.3, Kept.SUM),
        (0.4, 0.3, Kept.SUM),
        (0.1, 0.4, Kept.TREES),
        (0.1, 0.1, Kept.CANDIDATES),
        (0.1, 0.15, Kept.CANDIDATES),
    ],
)
def test_the_dearer_order_must_be_better(by_sum: float, by_trees: float, kept: Kept) -> None:
    """Trees must beat the sum, and what is kept the candidates' own order."""
    chosen = best_of({Kept.SUM: order_of(by_sum), Kept.TREES: order_of(by_trees)})
    assert chosen.kept is kept
    assert list(chosen.measured) == ["ndcg@10_by_order"]
    assert list(chosen.measured["ndcg@10_by_order"]) == ["candidates", "sum", "trees"]


@pytest.mark.parametrize(
    ("informed", "kept"),
    [
        (order_of(0.3, 0.6), Kept.SHOWN),
        (order_of(0.31, 0.6), Kept.SHOWN),
        (order_of(0.2999, 0.6), Kept.SUM),
        (order_of(0.31, 0.5), Kept.SUM),
        (order_of(0.3, 0.6, lists=5), Kept.SUM),
    ],
)
def test_what_was_shown_must_help(informed: Order, kept: Kept) -> None:
    """It must order better what was shown, and not worse what was not; of a few lists, neither."""
    plain = order_of(0.3, 0.5, len(informed.of_shown))
    chosen = best_of({Kept.SUM: plain, Kept.SHOWN: informed, Kept.TREES: order_of(0.25)})
    assert chosen.kept is kept
    assert "ndcg@10_by_order_of_what_was_shown" in chosen.measured


def test_where_nothing_that_was_shown_tells_anything_nothing_is_told() -> None:
    """No mean of nothing is in what was measured."""
    told = {kept: order_of(0.3, lists=0) for kept in (Kept.SUM, Kept.SHOWN, Kept.TREES)}
    chosen = best_of(told)
    assert chosen.kept is Kept.SUM
    assert list(chosen.measured) == ["ndcg@10_by_order"]


def test_trees_must_beat_what_knows_what_was_shown() -> None:
    """By all candidates, like the sum they are beside."""
    sums = {Kept.SUM: order_of(0.3), Kept.SHOWN: order_of(0.35, 0.6)}
    assert best_of({**sums, Kept.TREES: order_of(0.33)}).kept is Kept.SHOWN
    assert best_of({**sums, Kept.TREES: order_of(0.4)}).kept is Kept.TREES


def test_too_little_to_learn_from_leaves_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was measured then, but that popularity is no better."""
    monkeypatch.setattr(orders, "fit_ranker", lambda *_: None)
    chosen = choose_order(Timeline(tasteful(), wines(60), 0))
    assert (chosen.kept, [*chosen.measured]) == (Kept.CANDIDATES, ["ndcg@10_by_lists"])


def test_popularity_is_the_floor() -> None:
    """Where all buy by it alone, personal lists are worse, and none is kept."""
    timeline = Timeline(log_of(tasteless(), 200, wines(400)), wines(400), 0)
    chosen = choose_order(timeline)
    told = chosen.measured["ndcg@10_by_lists"]
    assert chosen.kept is Kept.POPULARITY
    assert told["personal"] < told["segment popularity"]
    assert chosen.kept.of(timeline.parts(VALIDATION)).personal is None


@pytest.mark.parametrize("kept", [Kept.CANDIDATES, Kept.SUM, Kept.TREES])
def test_where_lists_are_no_worse_what_was_chosen_stays(kept: Kept) -> None:
    """With what was measured of it, and what serves is whole."""
    timeline = Timeline(tasteful(), wines(60), 0)
    parts, split = timeline.parts(VALIDATION), timeline.split(VALIDATION)
    chosen = above_floor(ChosenOrder(kept, {"before": {"a": 0.1}}), parts, split)
    assert (chosen.kept, [*chosen.measured]) == (kept, ["before", "ndcg@10_by_lists"])
    assert chosen.kept.of(parts) is parts
