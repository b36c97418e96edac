"""The second stage: a linear score, and boosted trees where they help, that order candidates.

The linear score (`models.listwise`) has weights that change with the length of the history: of
whom much is known, the fit tells more. It learns which candidates were wanted, and, where it is
asked to, which of those that were shown. Where that is not enough it is one more column for trees,
histogram gradient boosting (Ke et al., "LightGBM", NeurIPS 2017, as in scikit-learn) on whether a
candidate was wanted. What counts is the order it gives, not the numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from models.errors import ModelsError
from models.examples import Examples
from models.listwise import fit_listwise
from models.metrics import ideal_ndcg
from models.parts import Floats
from models.ranker_features import HISTORY, OF_THE_CANDIDATE, RANKER_FEATURES

TREES = 40
LEAVES = 6
LEARNING_RATE = 0.05
NEGATIVES = 0.25
"""Share of the candidates nobody wanted that are learnt from: more gave no better order."""

DRAWS = 4
"""Times that these are drawn for the sum, whose weights are the mean: one draw decides less."""

AGEING = 0.3
"""What a list of one split counts for beside one of the next: shops change."""

LEAST_SHOPPERS = 100
"""Shoppers that must have wanted a candidate, or there is no order to learn."""


@dataclass(frozen=True, slots=True)
class Ranker:
    """A sum of the ranker's columns, and `trees` over the columns and that sum, or none.

    `weights` and `by_history` float32[ranker features]: what a column weighs, and how much more
    for each unit of `log_graded_items`.
    """

    weights: Floats
    by_history: Floats
    trees: HistGradientBoostingRegressor | None

    def sums(self, features: Floats) -> Floats:
        """Return float32[n]: the weighted sums of float32[n, ranker features]."""
        exact = features.astype(np.float64)
        more = (exact @ self.by_history.astype(np.float64)) * exact[:, HISTORY]
        sums: Floats = (exact @ self.weights.astype(np.float64) + more).astype(np.float32)
        return sums


def fit_ranker(
    splits: Sequence[Examples], seed: int, *, trees: bool = False, shown: bool = False
) -> Ranker | None:
    """Return what orders candidates, None where there are too few shoppers, or all is wanted.

    `splits` are in order of time; with `trees` the sum is not the last word; with `shown` it
    learns from what was shown, too. Raises `ModelsError` naming a column that holds what is no
    number. One thread: threads that wait for one another on a busy machine take three times as
    long.
    """
    if sum(len(each.sizes) for each in splits) < LEAST_SHOPPERS:
        return None
    for each in splits:
        _check_numbers(each.features)
    labels = np.concatenate([each.labels for each in splits])
    if np.ptp(labels) == 0:
        return None
    random = np.random.default_rng(seed)
    with threadpool_limits(1):
        drawn = [_linear(_lists(splits, random, shown=shown)) for _ in range(DRAWS)]
        mean = np.mean(np.stack(drawn), axis=0)
    ranker = Ranker(mean[0], mean[1], None)
    return with_trees(ranker, splits, seed) if trees else ranker


def with_trees(ranker: Ranker, splits: Sequence[Examples], seed: int) -> Ranker:
    """Return the ranker with trees over its columns and its sum, learnt from `splits`."""
    random = np.random.default_rng(seed)
    some = Examples.joined([_sampled(each, random) for each in splits])
    with threadpool_limits(1):
        return replace(ranker, trees=_trees(_with_sum(ranker, some.features), some.labels, seed))


def _check_numbers(features: Floats) -> None:
    wrong = np.count_nonzero(~np.isfinite(features), axis=0)
    if wrong.any():
        column = int(wrong.argmax())
        raise ModelsError(
            f"features: {RANKER_FEATURES[column]}: expected numbers, got {wrong[column]} of "
            f"{len(features)} that are none; nothing was learnt"
        )


def predict(ranker: Ranker, features: Floats) -> Floats:
    """Return float32[n] scores of float32[n, ranker features]."""
    if ranker.trees is None:
        return ranker.sums(features)
    scores: npt.NDArray[np.float64] = ranker.trees.predict(_with_sum(ranker, features))
    return scores.astype(np.float32)


def ordering(examples: Examples, scores: Floats | None = None) -> npt.NDArray[np.float64]:
    """Return NDCG@10 of each shopper's candidates in the order of `scores` float32[n].

    As they came where there are none.
    """
    told = examples.by_shopper(examples.labels)
    if scores is not None:
        orders = [np.argsort(-each, kind="stable") for each in examples.by_shopper(scores)]
        told = [labels[order] for labels, order in zip(told, orders, strict=True)]
    return np.array([ideal_ndcg(labels) for labels in told], np.float64)


def _sampled(examples: Examples, random: np.random.Generator) -> Examples:
    """Return the candidates that are learnt from: all that were wanted, some of the others."""
    chosen = (random.random(len(examples.labels)) < NEGATIVES) | (examples.labels > 0)
    begins = np.cumsum(examples.sizes) - examples.sizes
    sizes = np.add.reduceat(chosen, begins, dtype=np.int64) if len(begins) else examples.sizes
    return Examples(
        examples.features[chosen], examples.labels[chosen], sizes, examples.shown[chosen]
    )


@dataclass(frozen=True, slots=True)
class _Lists:
    """Lists that the sum learns from.

    `counts` float64[n] says how many of its kind each candidate stands for, `importance`
    float64[lists] by how much each list counts.
    """

    told: Examples
    counts: npt.NDArray[np.float64]
    importance: npt.NDArray[np.float64]


def _lists(splits: Sequence[Examples], random: np.random.Generator, *, shown: bool) -> _Lists:
    """Return the lists of one draw: of candidates, and with `shown` of what was shown of them."""
    ages = [AGEING**age for age in reversed(range(len(splits)))]
    pieces = [
        (_sampled(each, random), 1 / NEGATIVES, age) for each, age in zip(splits, ages, strict=True)
    ]
    if shown:
        pieces += [(each.shown_only(), 1, age) for each, age in zip(splits, ages, strict=True)]
    return _Lists(
        Examples.joined([each for each, _, _ in pieces]),
        np.concatenate([np.where(each.labels > 0, 1, many) for each, many, _ in pieces]),
        np.concatenate([np.full(len(each.sizes), age) for each, _, age in pieces]),
    )


def _linear(lists: _Lists) -> npt.NDArray[np.float32]:
    """Return `Ranker.weights` and `by_history`, 0 for what is known of the shopper.

    Products are of centred columns: a penalty on how weights change is none on what they are, and
    sums of long histories are no greater than those of short ones, which would lead trees astray.
    """
    features, labels, sizes = lists.told.features, lists.told.labels, lists.told.sizes
    columns, known = features[:, :OF_THE_CANDIDATE], features[:, HISTORY]
    usual, means = known.mean(dtype=np.float64), columns.mean(axis=0, dtype=np.float64)
    products = (columns - means) * (known - usual)[:, None]
    both = np.hstack((columns, products.astype(np.float32)))
    fitted = fit_listwise(both, labels, sizes, lists.counts, lists.importance)
    plain, change = np.split(fitted, 2)
    told = np.zeros((2, len(RANKER_FEATURES)), np.float32)
    told[:, :OF_THE_CANDIDATE] = plain - usual * change, change
    told[0, HISTORY] -= means @ change
    return told


def _trees(columns: Floats, labels: Floats, seed: int) -> HistGradientBoostingRegressor:
    trees = HistGradientBoostingRegressor(
        max_iter=TREES,
        max_leaf_nodes=LEAVES,
        learning_rate=LEARNING_RATE,
        min_samples_leaf=int(np.clip(len(labels) // 2_000, 20, 100)),
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )
    trees.fit(columns, labels)
    _settle_thresholds(trees)
    return trees


def _with_sum(ranker: Ranker, features: Floats) -> Floats:
    return np.column_stack((features, ranker.sums(features)))


def _settle_thresholds(ranker: HistGradientBoostingRegressor) -> None:
    """Round every threshold down to a float32.

    Trees compare in float64 here and in float32 where they serve. A float32 feature is at most
    a threshold exactly if it is at most the largest float32 below it, so nothing changes here,
    and there every comparison comes out the same.
    """
    for (predictor,) in ranker._predictors:  # noqa: SLF001 (nowhere else are they to be had)
        exact = predictor.nodes["num_threshold"]
        near = exact.astype(np.float32)
        lower = np.nextafter(near, np.float32(-np.inf))
        predictor.nodes["num_threshold"] = np.where(near > exact, lower, near)
