"""How good lists are: NDCG, recall, hit rate and coverage, by shopper.

Binary relevance; NDCG as in Järvelin and Kekäläinen, TOIS 2002, cut at 10 with an ideal list of
at most 10.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.parts import Floats, Rows

K = 10

_DISCOUNTS = 1 / np.log2(np.arange(2, K + 2))
_IDEAL = np.concatenate(([0.0], np.cumsum(_DISCOUNTS)))


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over shoppers, the standard error of NDCG, and every shopper's own NDCG."""

    users: int
    ndcg: float
    ndcg_error: float
    recall: float
    hit_rate: float
    coverage: float
    by_user: npt.NDArray[np.float64]

    def told(self) -> dict[str, float | int]:
        """Return the figures under their usual names."""
        return {
            "ndcg@10": round(self.ndcg, 5),
            "ndcg@10_se": round(self.ndcg_error, 5),
            "recall@10": round(self.recall, 5),
            "hitrate@10": round(self.hit_rate, 5),
            "coverage@10": round(self.coverage, 5),
            "users": self.users,
        }


def quality(lists: Sequence[Rows], wanted: Sequence[Rows], items: int) -> Quality:
    """Return how good `lists` of item rows, best first, are for what was `wanted`.

    Coverage is the share of `items` that stood in any of the lists.
    """
    gains = np.zeros((len(lists), K))
    for place, (shown, want) in enumerate(zip(lists, wanted, strict=True)):
        relevant = set(want.tolist())
        gains[place, : len(shown[:K])] = [row in relevant for row in shown[:K].tolist()]
    sizes = np.array([len(want) for want in wanted], np.int64)
    by_user = (gains @ _DISCOUNTS) / np.maximum(_IDEAL[np.minimum(sizes, K)], _DISCOUNTS[-1])
    hits = gains.sum(axis=1)
    shown_ever = np.unique(np.concatenate([shown[:K] for shown in lists])) if lists else ()
    count = max(len(lists), 1)
    return Quality(
        users=len(lists),
        ndcg=float(by_user.sum() / count),
        ndcg_error=_standard_error(by_user),
        recall=float((hits / np.maximum(sizes, 1)).sum() / count),
        hit_rate=float((hits > 0).sum() / count),
        coverage=len(shown_ever) / max(items, 1),
        by_user=by_user,
    )


def difference(one: Quality, other: Quality) -> tuple[float, float]:
    """Return the mean paired difference in NDCG of the same shoppers, and its standard error."""
    return mean_and_error(one.by_user - other.by_user)


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
