"""How good lists are to their shoppers, and what they do to the catalogue.

Binary relevance, lists of 10. NDCG as in Järvelin and Kekäläinen, TOIS 2002, with an ideal list
of at most 10; MRR as in Voorhees, TREC-8, 1999; novelty is the mean self-information of what is
shown (Zhou et al., PNAS 2010); Gini is that of how often each item is shown. `models.bootstrap`
has the intervals.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.parts import Floats, Rows

K = 10
MEANS = ("ndcg@10", "recall@10", "mrr@10", "hitrate@10")
"""Figures that are means over shoppers, in the order of `Quality.means`."""

Doubles = npt.NDArray[np.float64]

_DISCOUNTS = 1 / np.log2(np.arange(2, K + 2))
_IDEAL = np.concatenate(([0.0], np.cumsum(_DISCOUNTS)))


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over shoppers, the standard error of NDCG, and what they are means of.

    `coverage` is the share of items that stand in any list, `novelty` in bits, `gini` 0 where
    all items are shown as often, near 1 where few are all that is shown. `by_user` is every
    shopper's own NDCG, `means` float64[users, 4] all of `MEANS`, `shown` the lists, `information`
    float64[items] how many bits it tells that an item is shown.
    """

    users: int
    ndcg: float
    ndcg_error: float
    recall: float
    mrr: float
    hit_rate: float
    coverage: float
    novelty: float
    gini: float
    by_user: Doubles
    means: Doubles
    shown: tuple[Rows, ...]
    information: Doubles

    def told(self) -> dict[str, float | int]:
        """Return the figures under their usual names."""
        return {
            "ndcg@10": round(self.ndcg, 5),
            "ndcg@10_se": round(self.ndcg_error, 5),
            "recall@10": round(self.recall, 5),
            "mrr@10": round(self.mrr, 5),
            "hitrate@10": round(self.hit_rate, 5),
            "coverage@10": round(self.coverage, 5),
            "novelty@10": round(self.novelty, 5),
            "gini@10": round(self.gini, 5),
            "users": self.users,
        }


def quality(lists: Sequence[Rows], wanted: Sequence[Rows], met: Rows) -> Quality:
    """Return how good `lists` of item rows, best first, are for what was `wanted`.

    `met` int64[items] tells how many shoppers had met each item before.
    """
    lists = [shown[:K] for shown in lists]
    gains = np.zeros((len(lists), K))
    for place, (shown, want) in enumerate(zip(lists, wanted, strict=True)):
        relevant = set(want.tolist())
        gains[place, : len(shown)] = [row in relevant for row in shown.tolist()]
    sizes = np.array([len(want) for want in wanted], np.int64)
    by_user = (gains @ _DISCOUNTS) / np.maximum(_IDEAL[np.minimum(sizes, K)], _DISCOUNTS[-1])
    hits, count = gains.sum(axis=1), max(len(lists), 1)
    first = (gains / np.arange(1, K + 1)).max(axis=1, initial=0)
    means = np.column_stack((by_user, hits / np.maximum(sizes, 1), first, hits > 0))
    ndcg, recall, mrr, hit_rate = (means.sum(axis=0) / count).tolist()
    rows = np.concatenate(lists) if lists else np.empty(0, np.int64)
    exposures = np.bincount(rows, minlength=len(met))
    information = _information(met)
    return Quality(
        users=len(lists),
        ndcg=ndcg,
        ndcg_error=_standard_error(by_user),
        recall=recall,
        mrr=mrr,
        hit_rate=hit_rate,
        coverage=float((exposures > 0).sum() / max(len(met), 1)),
        novelty=float(information[rows].mean()) if len(rows) else 0.0,
        gini=gini(exposures),
        by_user=by_user,
        means=means,
        shown=tuple(lists),
        information=information,
    )


def _information(met: Rows) -> Doubles:
    """Return how many bits it tells that an item is met, float64[items]; each is met once more."""
    told: Doubles = -np.log2((met + 1) / (met + 1).sum())
    return told


def gini(counts: Rows) -> float:
    """Return the Gini coefficient of int64[n], 0 to 1."""
    total, n = int(counts.sum()), len(counts)
    if not total:
        return 0.0
    ranks = np.arange(1, n + 1)
    return float(2 * (ranks * np.sort(counts)).sum() / (n * total) - (n + 1) / n)


def difference(one: Quality, other: Quality) -> tuple[float, float]:
    """Return the mean paired difference in NDCG of the same shoppers, and its standard error."""
    return mean_and_error(one.by_user - other.by_user)


def is_above_chance(gains: npt.NDArray[np.float64]) -> bool:
    """Tell whether the mean of float64[n] is above 0 by more than two standard errors."""
    mean, error = mean_and_error(gains)
    return mean > 2 * error


def mean_and_error(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean of float64[n] and its standard error, 0 for both where there is none."""
    return (float(values.mean()) if len(values) else 0.0), _standard_error(values)


def ideal_ndcg(labels: Floats) -> float:
    """Return NDCG@10 of one list whose `labels` (0 or 1, best rank first) are all there are."""
    wanted = int(labels.sum())
    return float(labels[:K] @ _DISCOUNTS[: len(labels)] / _IDEAL[min(wanted, K)]) if wanted else 0.0


def best_new(tables: Floats, groups: Rows, blocked: Sequence[Rows], count: int = K) -> list[Rows]:
    """Return each shopper's best rows by float32[groups, items], none of those that are blocked.

    `groups` int64[shoppers] says whose table counts; ties go to the smaller row.
    """
    orders = np.argsort(-tables, axis=1, kind="stable")
    hidden = np.zeros(tables.shape[1], bool)
    lists = []
    for group, rows in zip(groups.tolist(), blocked, strict=True):
        hidden[rows] = True
        # So many from the front hold `count` that are allowed, if there are as many at all.
        front = orders[group, : count + len(rows)]
        lists.append(front[~hidden[front]][:count])
        hidden[rows] = False
    return lists


def _standard_error(values: npt.NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
