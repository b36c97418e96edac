"""The second stage: boosted trees that order the candidates.

Histogram gradient boosting (Ke et al., "LightGBM", NeurIPS 2017, as in scikit-learn) on whether a
candidate was wanted. What counts is the order it gives, not the numbers.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from models.examples import Examples
from models.metrics import ideal_ndcg, mean_and_error
from models.parts import Floats

TREES = 80
LEAVES = 15
LEARNING_RATE = 0.08
NEGATIVES = 0.25
"""Share of the candidates nobody wanted that trees learn from: more gave no better order."""

LEAST_SHOPPERS = 100
"""Shoppers that must have wanted a candidate, or there is no order to learn."""


def fit_ranker(windows: Sequence[Examples], seed: int) -> HistGradientBoostingRegressor | None:
    """Return trees that order candidates, None where there are too few shoppers.

    One thread: threads that wait for one another on a busy machine take three times as long.
    """
    if sum(len(each.sizes) for each in windows) < LEAST_SHOPPERS:
        return None
    random = np.random.default_rng(seed)
    chosen = [(random.random(len(e.labels)) < NEGATIVES) | (e.labels > 0) for e in windows]
    told = list(zip(windows, chosen, strict=True))
    features = np.concatenate([each.features[rows] for each, rows in told])
    labels = np.concatenate([each.labels[rows] for each, rows in told])
    ranker = HistGradientBoostingRegressor(
        max_iter=TREES,
        max_leaf_nodes=LEAVES,
        learning_rate=LEARNING_RATE,
        min_samples_leaf=int(np.clip(len(labels) // 2_000, 20, 100)),
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )
    with threadpool_limits(1):
        ranker.fit(features, labels)
    _settle_thresholds(ranker)
    return ranker


def predict(ranker: HistGradientBoostingRegressor, features: Floats) -> Floats:
    """Return float32[n] scores of float32[n, ranker features]."""
    scores: npt.NDArray[np.float64] = ranker.predict(features)
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
