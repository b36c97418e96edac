"""Trees that order candidates."""

import numpy as np
import pytest

from models.examples import Examples
from models.ranker import LEAST_SHOPPERS, fit_ranker, ordering_gain, predict
from models.ranker_features import RANKER_FEATURES

EACH = 30
SIGNAL = RANKER_FEATURES.index("trend")


def _examples(shoppers: int, seed: int = 0) -> Examples:
    """Return candidates of whom the one with the greatest trend was wanted."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(shoppers, EACH, len(RANKER_FEATURES))).astype(np.float32)
    features[:, :, 0] = np.sort(features[:, :, 0])[:, ::-1]
    labels = features[:, :, SIGNAL] == features[:, :, SIGNAL].max(axis=1, keepdims=True)
    return Examples(
        features.reshape(-1, len(RANKER_FEATURES)),
        labels.ravel().astype(np.float32),
        np.full(shoppers, EACH),
    )


def test_it_learns_an_order_that_holds_for_others() -> None:
    """Shoppers it has not met gain far more than chance."""
    ranker = fit_ranker([_examples(150), _examples(150, seed=1)], 0)
    assert ranker is not None
    others = _examples(100, seed=2)
    gain, error = ordering_gain(others, predict(ranker, others.features))
    assert gain > 0.4
    assert gain > 5 * error


def test_the_order_it_was_given_gains_nothing() -> None:
    """Scores that fall with the rank change no list."""
    examples = _examples(50)
    falling = np.tile(-np.arange(EACH, dtype=np.float32), 50)
    assert ordering_gain(examples, falling) == (0, 0)


def test_noise_loses_against_a_good_order() -> None:
    """The gain is negative where the wanted stood first already."""
    examples = _examples(80)
    order = np.argsort(-examples.features[:, SIGNAL].reshape(80, EACH), axis=1)
    rows = (order + EACH * np.arange(80)[:, None]).ravel()
    best = Examples(examples.features[rows], examples.labels[rows], examples.sizes)
    noise = np.random.default_rng(0).random(len(rows)).astype(np.float32)
    assert ordering_gain(best, noise)[0] < -0.5


def test_too_few_shoppers_teach_nothing() -> None:
    """Below the least there is no ranker."""
    assert fit_ranker([_examples(LEAST_SHOPPERS - 1)], 0) is None
    assert fit_ranker([], 0) is None


def test_equal_seeds_give_equal_trees() -> None:
    """Everything that is drawn is drawn from the seed."""
    examples = _examples(120)
    one, same, other = (fit_ranker([examples], seed) for seed in (4, 4, 5))
    assert one is not None
    assert same is not None
    assert other is not None
    told = predict(one, examples.features)
    np.testing.assert_array_equal(told, predict(same, examples.features))
    assert not np.array_equal(told, predict(other, examples.features))


def test_thresholds_are_float32() -> None:
    """No threshold loses anything when it is written as float32."""
    ranker = fit_ranker([_examples(120)], 0)
    assert ranker is not None
    for (tree,) in ranker.trees._predictors:
        thresholds = tree.nodes["num_threshold"]
        np.testing.assert_array_equal(thresholds, thresholds.astype(np.float32))


def test_by_shopper_splits_and_first_cuts() -> None:
    """Columns come apart by shopper."""
    examples = Examples(
        np.zeros((5, len(RANKER_FEATURES)), np.float32),
        np.array([1, 0, 0, 1, 0], np.float32),
        np.array([2, 3]),
    )
    assert [each.tolist() for each in examples.by_shopper(examples.labels)] == [[1, 0], [0, 1, 0]]
    assert examples.first(1).labels.tolist() == [1, 0]
    assert pytest.approx(ordering_gain(examples, -examples.labels)[0]) != 0
