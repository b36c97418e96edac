"""Sums and trees that order candidates."""

from dataclasses import replace

import numpy as np
import pytest

from models.errors import ModelsError
from models.examples import Examples
from models.metrics import mean_and_error
from models.parts import Floats
from models.ranker import LEAST_SHOPPERS, Ranker, fit_ranker, ordering, predict
from models.ranker_features import HISTORY, RANKER_FEATURES

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
        np.zeros(labels.size, np.bool_),
    )


def _fitted(splits: list[Examples], seed: int = 0, *, trees: bool = True) -> Ranker:
    ranker = fit_ranker(splits, seed, trees=trees)
    assert ranker is not None
    return ranker


def _gain(examples: Examples, scores: Floats) -> tuple[float, float]:
    return mean_and_error(ordering(examples, scores) - ordering(examples))


@pytest.mark.parametrize("trees", [False, True])
def test_it_learns_an_order_that_holds_for_others(trees: bool) -> None:
    """Shoppers it has not met gain far more than chance."""
    ranker = _fitted([_examples(150), _examples(150, seed=1)], trees=trees)
    assert (ranker.trees is not None) is trees
    others = _examples(100, seed=2)
    gain, error = _gain(others, predict(ranker, others.features))
    assert gain > 0.4
    assert gain > 5 * error


def test_weights_change_with_the_length_of_the_history() -> None:
    """Where those of a long history want the opposite, a sum alone knows it."""
    examples = _opposed(400)
    ranker = _fitted([examples], trees=False)
    others = _opposed(200, seed=1)
    assert _gain(others, predict(ranker, others.features))[0] > 0.4
    at = [(ranker.weights + known * ranker.by_history)[SIGNAL] for known in (2, 4)]
    assert at[0] < -0.1
    assert at[1] > 0.1


def test_sums_of_long_histories_are_no_greater() -> None:
    """How much is known moves no sum on average, or trees would split by it."""
    examples = _opposed(400)
    examples.features[:, SIGNAL] += 5
    sums = _fitted([examples], trees=False).sums(examples.features).reshape(-1, EACH).mean(axis=1)
    assert abs(sums[::2].mean() - sums[1::2].mean()) < 0.1 * sums.std() + 0.2


def _opposed(shoppers: int, seed: int = 0) -> Examples:
    """Return candidates of whom long histories want the greatest trend, short ones the least."""
    examples = _examples(shoppers, seed)
    features = examples.features.reshape(shoppers, EACH, -1)
    long = np.arange(shoppers) % 2 == 0
    features[:, :, HISTORY] = np.where(long, 4, 2)[:, None]
    features[~long, :, SIGNAL] *= -1
    return replace(examples, features=features.reshape(examples.features.shape))


def test_the_next_split_counts_for_more() -> None:
    """Of two splits that say the opposite the later one is followed."""
    one, opposite = _examples(150), _examples(150, seed=1)
    opposite.features[:, SIGNAL] *= -1
    assert _fitted([opposite, one], trees=False).weights[SIGNAL] > 0.1
    assert _fitted([one, opposite], trees=False).weights[SIGNAL] < -0.1


def test_what_was_shown_tells_why_it_was_wanted() -> None:
    """What is shown most is wanted most; of what was seen, the rest is. One fit knows which."""
    splits = [_pushed(300), _pushed(300, seed=1)]
    plain, informed = (fit_ranker(splits, 0, shown=shown) for shown in (False, True))
    assert plain is not None
    assert informed is not None
    assert plain.weights[SIGNAL] > 0.5
    assert informed.weights[SIGNAL] < 0.7 * plain.weights[SIGNAL]
    others = _pushed(200, seed=2).shown_only()
    told = [ordering(others, predict(each, others.features)) for each in (informed, plain)]
    gain, error = mean_and_error(told[0] - told[1])
    assert gain > 2 * error


def test_what_was_not_shown_is_learnt_as_before() -> None:
    """Where nobody knows what was seen, or all of it was wanted, nothing changes."""
    examples = _examples(150)
    alike = replace(examples, shown=examples.labels > 0)
    for each in (examples, alike):
        assert len(each.shown_only().sizes) == 0
        assert len(ordering(each.shown_only())) == 0
        told = [fit_ranker([each], 0, shown=shown) for shown in (False, True)]
        assert told[0] is not None
        assert told[1] is not None
        np.testing.assert_array_equal(told[0].weights, told[1].weights)


def test_only_lists_that_tell_anything_are_of_what_was_shown() -> None:
    """Some of it wanted and some not; what was not seen is not in them."""
    examples = Examples(
        np.arange(9, dtype=np.float32)[:, None] * np.ones(len(RANKER_FEATURES), np.float32),
        np.array([1, 0, 0, 1, 0, 0, 1, 0, 0], np.float32),
        np.array([3, 3, 3]),
        np.array([1, 1, 0, 1, 0, 0, 0, 1, 1], np.bool_),
    )
    told = examples.shown_only()
    assert (told.features[:, 0].tolist(), told.labels.tolist()) == ([0, 1], [1, 0])
    assert (told.sizes.tolist(), told.shown.tolist()) == ([2], [True, True])


def _pushed(shoppers: int, seed: int = 0) -> Examples:
    """Return candidates that are wanted by taste, of those that are shown: mostly a few."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(shoppers, EACH, len(RANKER_FEATURES))).astype(np.float32)
    push, taste = features[:, :, SIGNAL], features[:, :, RANKER_FEATURES.index("nearest")]
    shown = np.argsort(np.argsort(-(push + random.normal(0, 0.5, push.shape)), axis=1), axis=1) < 8
    liked = np.where(shown, taste + random.normal(0, 0.5, taste.shape), -np.inf)
    labels = liked == liked.max(axis=1, keepdims=True)
    return Examples(
        features.reshape(-1, len(RANKER_FEATURES)),
        labels.ravel().astype(np.float32),
        np.full(shoppers, EACH),
        shown.ravel(),
    )


def test_the_order_it_was_given_gains_nothing() -> None:
    """Scores that fall with the rank change no list."""
    examples = _examples(50)
    falling = np.tile(-np.arange(EACH, dtype=np.float32), 50)
    np.testing.assert_array_equal(ordering(examples, falling), ordering(examples))


def test_noise_loses_against_a_good_order() -> None:
    """The gain is negative where the wanted stood first already."""
    examples = _examples(80)
    order = np.argsort(-examples.features[:, SIGNAL].reshape(80, EACH), axis=1)
    rows = (order + EACH * np.arange(80)[:, None]).ravel()
    best = replace(examples, features=examples.features[rows], labels=examples.labels[rows])
    noise = np.random.default_rng(0).random(len(rows)).astype(np.float32)
    assert _gain(best, noise)[0] < -0.5


def test_too_few_shoppers_teach_nothing() -> None:
    """Below the least there is no ranker."""
    assert fit_ranker([_examples(LEAST_SHOPPERS - 1)], 0, trees=True) is None
    assert fit_ranker([], 0, trees=False) is None


@pytest.mark.parametrize("trees", [False, True])
def test_equal_seeds_give_equal_rankers(trees: bool) -> None:
    """Everything that is drawn is drawn from the seed."""
    examples = _examples(120)
    one, same, other = (_fitted([examples], seed, trees=trees) for seed in (4, 4, 5))
    told = predict(one, examples.features)
    np.testing.assert_array_equal(told, predict(same, examples.features))
    assert not np.array_equal(told, predict(other, examples.features))


def test_thresholds_are_float32() -> None:
    """No threshold loses anything when it is written as float32."""
    ranker = _fitted([_examples(120)])
    assert ranker.trees is not None
    for (tree,) in ranker.trees._predictors:
        thresholds = tree.nodes["num_threshold"]
        np.testing.assert_array_equal(thresholds, thresholds.astype(np.float32))


def test_by_shopper_splits_and_first_cuts() -> None:
    """Columns come apart by shopper."""
    examples = Examples(
        np.zeros((5, len(RANKER_FEATURES)), np.float32),
        np.array([1, 0, 0, 1, 0], np.float32),
        np.array([2, 3]),
        np.zeros(5, np.bool_),
    )
    assert [each.tolist() for each in examples.by_shopper(examples.labels)] == [[1, 0], [0, 1, 0]]
    assert examples.first(1).labels.tolist() == [1, 0]
    told = ordering(examples, -examples.labels)
    np.testing.assert_allclose(told, [1 / np.log2(3), 1 / np.log2(4)])


def test_where_every_candidate_was_wanted_there_is_no_order_to_learn() -> None:
    """Labels of one class teach nothing."""
    examples = _examples(120)
    alike = replace(examples, labels=np.ones_like(examples.labels))
    assert fit_ranker([alike], 0, trees=False) is None


@pytest.mark.parametrize("trees", [False, True])
def test_candidates_that_look_alike_are_left_as_they_were(trees: bool) -> None:
    """Columns that tell nothing apart give one score to all, and no gain."""
    examples = _examples(120)
    flat = replace(examples, features=np.ones_like(examples.features))
    scores = predict(_fitted([flat], trees=trees), flat.features)
    assert np.ptp(scores) == 0
    assert _gain(flat, scores) == (0, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_column_that_holds_no_number_is_named(value: float) -> None:
    """Nothing is learnt from what would make weights that are no numbers."""
    examples = _examples(120)
    wanted = int(np.flatnonzero(examples.labels)[0])  # what was wanted is always learnt from
    examples.features[wanted, SIGNAL] = value
    with pytest.raises(ModelsError, match="features: trend: expected numbers, got 1 of"):
        fit_ranker([examples], 0, trees=False)
