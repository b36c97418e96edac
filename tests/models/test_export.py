"""Graphs rank as what they were made from, and wrong ones are refused."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from models.candidates import Tower, padded
from models.errors import ExportError
from models.examples import Examples
from models.export import ranker_graph, require_agreement, tower_graph, with_short_histories
from models.parts import Floats, Rows
from models.personal import open_ranker
from models.ranker import fit_ranker, predict
from models.ranker_features import HISTORY, RANKER_FEATURES, SCORE
from models.split import LEAST_HISTORY
from models.towers import Towers

ITEMS, RANK = 50, 6


@pytest.fixture
def towers() -> Towers:
    """Return towers of random numbers."""
    random = np.random.default_rng(1)
    return Towers(*random.normal(size=(2, ITEMS, RANK)).astype(np.float32))


@pytest.fixture(scope="module")
def examples() -> Examples:
    """Return candidates of 300 shoppers of whom one or two were wanted."""
    random = np.random.default_rng(2)
    shoppers, each = 300, 40
    features = random.normal(size=(shoppers * each, len(RANKER_FEATURES))).astype(np.float32)
    features[:, 5] = np.round(features[:, 5], 1)  # few values, so thresholds fall between them
    features[:, HISTORY] = np.log(random.integers(LEAST_HISTORY, 40, shoppers)).repeat(each)
    strength = features[:, 0] + 2 * (features[:, 5] > 0.35) + random.normal(0, 0.3, len(features))
    labels = (strength > 2.6).astype(np.float32)
    labels[::each] = 1
    return Examples(features, labels, np.full(shoppers, each), np.zeros(len(labels), np.bool_))


def _padded(histories: list[tuple[Rows, Floats]]) -> tuple[Rows, Floats]:
    by = np.repeat(np.arange(len(histories)), [len(rows) for rows, _ in histories])
    rows, grades = (np.concatenate(each) for each in zip(*histories, strict=True))
    return padded(by, rows, grades, len(histories))[1:]


def test_the_tower_sums_what_was_met(towers: Towers) -> None:
    """A shopper's vector is the graded sum of the inputs; pads add nothing."""
    histories = [
        (np.array([3, 7, 3 + 40]), np.array([1, 0.3, 0.6], np.float32)),
        (np.array([ITEMS - 1]), np.array([1], np.float32)),
    ]
    told = Tower(tower_graph(RANK), towers.inputs).users(*_padded(histories))
    for (items, grades), user in zip(histories, told, strict=True):
        expected = grades @ towers.inputs[items]
        np.testing.assert_allclose(user, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("trees", [False, True])
def test_the_ranker_compares_in_float32_as_in_float64(examples: Examples, trees: bool) -> None:
    """Every row falls into the same leaves: scores differ by rounding only."""
    ranker = fit_ranker([examples], 0, trees=trees)
    assert ranker is not None
    told = open_ranker(ranker_graph(ranker)).run({"features": examples.features})[:, 0]
    np.testing.assert_allclose(told, predict(ranker, examples.features), atol=1e-5)


def test_values_on_a_threshold_fall_alike(examples: Examples) -> None:
    """The float32 nearest to each threshold, and its neighbours, take the same branch."""
    ranker = fit_ranker([examples], 0, trees=True)
    assert ranker is not None
    assert ranker.trees is not None
    graph = open_ranker(ranker_graph(ranker))
    rows = []
    for (tree,) in ranker.trees._predictors[:20]:
        inner = tree.nodes[tree.nodes["is_leaf"] == 0]
        inner = inner[inner["feature_idx"] < len(RANKER_FEATURES)]  # the sum is not given
        for node in inner:
            near = np.float32(node["num_threshold"])
            for value in (near, np.nextafter(near, np.inf), np.nextafter(near, -np.inf)):
                row = np.zeros(len(RANKER_FEATURES), np.float32)
                row[HISTORY] = np.log(12)
                row[node["feature_idx"]] = value
                rows.append(row)
    features = np.array(rows, np.float32)
    told = graph.run({"features": features})[:, 0]
    np.testing.assert_allclose(told, predict(ranker, features), atol=1e-5)


@pytest.mark.parametrize("trees", [False, True])
def test_short_histories_keep_their_own_order(examples: Examples, trees: bool) -> None:
    """Who has fewer items than any shopper learnt from is shown candidates as they came."""
    ranker = fit_ranker([examples], 0, trees=trees)
    assert ranker is not None
    features = examples.features[:400].copy()
    features[:200, HISTORY] = np.log(LEAST_HISTORY - 1)
    features[200:, HISTORY] = np.log(LEAST_HISTORY)
    told = open_ranker(ranker_graph(ranker)).run({"features": features})[:, 0]
    np.testing.assert_array_equal(told[:200], features[:200, SCORE])
    expected = with_short_histories(features, predict(ranker, features))
    np.testing.assert_allclose(told, expected, atol=1e-5)
    np.testing.assert_array_equal(expected[200:], predict(ranker, features[200:]))


def test_agreement_is_told(examples: Examples) -> None:
    """A graph of the model it was made from agrees wholly."""
    ranker = fit_ranker([examples], 0, trees=True)
    assert ranker is not None
    original = predict(ranker, examples.features)
    told = open_ranker(ranker_graph(ranker)).run({"features": examples.features})[:, 0]
    agreement = require_agreement(
        "ranker", examples.by_shopper(original), examples.by_shopper(told)
    )
    assert agreement["top10_overlap"] == 1
    assert agreement["rank_correlation"] > 0.9999


def test_a_wrong_tower_is_refused(towers: Towers) -> None:
    """Not to weigh what was met is enough."""
    model = onnx.load_from_string(tower_graph(RANK))
    (product,) = (each for each in model.graph.node if each.op_type == "MatMul")
    product.CopyFrom(onnx.helper.make_node("ReduceMax", ["met"], product.output, axes=[1]))
    histories = [(np.array([row, row + 9]), np.ones(2, np.float32)) for row in range(40)]
    original = [towers.outputs @ towers.inputs[rows].sum(axis=0) for rows, _ in histories]
    users = Tower(model.SerializeToString(), towers.inputs).users(*_padded(histories))
    with pytest.raises(ExportError, match="tower: ranks unlike"):
        require_agreement("tower", original, list(users @ towers.outputs.T))


def test_a_wrong_ranker_is_refused(examples: Examples) -> None:
    """Trees of other data do not pass for these."""
    ranker, labels = fit_ranker([examples], 0, trees=True), np.roll(examples.labels, 1)
    wrong = fit_ranker([replace(examples, labels=labels)], 0, trees=True)
    assert ranker is not None
    assert wrong is not None
    original = predict(ranker, examples.features)
    told = open_ranker(ranker_graph(wrong)).run({"features": examples.features})[:, 0]
    with pytest.raises(ExportError, match="ranker: ranks unlike"):
        require_agreement("ranker", examples.by_shopper(original), examples.by_shopper(told))


def test_a_hair_decides_only_between_equals() -> None:
    """Ties broken otherwise are no disagreement; the wrong half of the list is."""
    original = np.repeat(np.array([3, 2, 1], np.float32), 10)
    shaken = original + np.random.default_rng(0).uniform(-1e-6, 1e-6, 30).astype(np.float32)
    assert require_agreement("x", [original], [shaken])["top10_overlap"] == 1
    with pytest.raises(ExportError):
        require_agreement("x", [original], [original[::-1].copy()])


def test_a_graph_that_tells_nothing_apart_is_refused() -> None:
    """Equal scores for all where the original had an order."""
    with pytest.raises(ExportError):
        require_agreement("x", [np.arange(40, dtype=np.float32)], [np.zeros(40, np.float32)])
