"""The second stage: a linear score and boosted trees that order the candidates.

The linear score (`models.listwise`) is one more column for the trees, histogram gradient boosting
(Ke et al., "LightGBM", NeurIPS 2017, as in scikit-learn) on whether a candidate was wanted. What
counts is the order it gives, not the numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from models.examples import Examples
from models.listwise import fit_listwise
from models.metrics import ideal_ndcg, mean_and_error
from models.parts import Floats, Rows
from models.ranker_features import OF_THE_CANDIDATE, RANKER_FEATURES

TREES = 40
LEAVES = 6
LEARNING_RATE = 0.05
NEGATIVES = 0.25
"""Share of the candidates nobody wanted that are learnt from: more gave no better order."""

LEAST_SHOPPERS = 100
"""Shoppers that must have wanted a candidate, or there is no order to learn."""


@dataclass(frozen=True, slots=True)
class Ranker:
    """`trees` over the ranker's columns and a last one: their sum with `weights` float32."""

    weights: Floats
    trees: HistGradientBoostingRegressor


def fit_ranker(windows: Sequence[Examples], seed: int) -> Ranker | None:
    """Return what orders candidates, None where there are too few shoppers.

    One thread: threads that wait for one another on a busy machine take three times as long.
    """
    if sum(len(each.sizes) for each in windows) < LEAST_SHOPPERS:
        return None
    random = np.random.default_rng(seed)
    sampled = [_sampled(each, random) for each in windows]
    features = np.concatenate([each.features for each in sampled])
    labels = np.concatenate([each.labels for each in sampled])
    trees = HistGradientBoostingRegressor(
        max_iter=TREES,
        max_leaf_nodes=LEAVES,
        learning_rate=LEARNING_RATE,
        min_samples_leaf=int(np.clip(len(labels) // 2_000, 20, 100)),
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )
    with threadpool_limits(1):
        weights = _linear(features, labels, np.concatenate([each.sizes for each in sampled]))
        trees.fit(_with_sum(features, weights), labels)
    _settle_thresholds(trees)
    return Ranker(weights, trees)


def predict(ranker: Ranker, features: Floats) -> Floats:
    """Return float32[n] scores of float32[n, ranker features]."""
    scores: npt.NDArray[np.float64] = ranker.trees.predict(_with_sum(features, ranker.weights))
    return scores.astype(np.float32)


def ordering_gain(examples: Examples, scores: Floats) -> tuple[float, float]:
    """Return the mean gain in NDCG@10 over the candidates' own order, and its standard error.

    It is that of shoppers who wanted some candidate; others gain nothing either way.
    """
    gains = [
        ideal_ndcg(labels[np.argsort(-told, kind="stable")]) - ideal_ndcg(labels)
        for told, labels in zip(
            examples.by_shopper(scores), examples.by_shopper(examples.labels), strict=True
        )
    ]
    return mean_and_error(np.array(gains, np.float64))


def _sampled(examples: Examples, random: np.random.Generator) -> Examples:
    """Return the candidates that are learnt from: all that were wanted, some of the others."""
    chosen = (random.random(len(examples.labels)) < NEGATIVES) | (examples.labels > 0)
    begins = np.cumsum(examples.sizes) - examples.sizes
    sizes = np.add.reduceat(chosen, begins, dtype=np.int64) if len(begins) else examples.sizes
    return Examples(examples.features[chosen], examples.labels[chosen], sizes)


def _linear(features: Floats, labels: Floats, sizes: Rows) -> Floats:
    """Return the weight of each of the ranker's columns, 0 for what is known of the shopper."""
    counts = np.where(labels > 0, 1, 1 / NEGATIVES)
    weights = np.zeros(len(RANKER_FEATURES), np.float32)
    weights[:OF_THE_CANDIDATE] = fit_listwise(features[:, :OF_THE_CANDIDATE], labels, sizes, counts)
    return weights


def _with_sum(features: Floats, weights: Floats) -> Floats:
    exact = features.astype(np.float64) @ weights.astype(np.float64)
    return np.column_stack((features, exact.astype(np.float32)))


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
