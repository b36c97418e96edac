"""How long after a list its first event comes, learnt from lists of any age.

A delay is seen only if it is no longer than its list is old: delays are truncated on the right, and
those of young lists are too short. The product-limit estimate for such data is, with the delays
d_1 < d_2 < … that were seen,

    F(x) = product over d_j > x of (1 - n_j / N_j)

where n_j delays are d_j, and N_j are at most d_j, of lists that are as old as that. (Lynden-Bell
1971; Woodroofe 1985; Lagakos, Barraj and de Gruttola 1988. Counted by days it is the chain ladder
of insurers, Mack 1993.)
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Delays:
    """The delays that were seen, ascending, int64[n], and the ages of their lists, in the same ms.

    `longest` is when no more can come. `shoppers` tells them apart, int64[n]: their delays are
    alike.
    """

    def __init__(self, delays: Ints, ages: Ints, shoppers: Ints, longest: int) -> None:
        """Put them in order; a list that is older than `longest` is as old as that."""
        order = np.argsort(delays, kind="stable")
        self.delays, self.shoppers = delays[order], shoppers[order]
        self.ages = np.minimum(ages, longest)[order]
        self.longest = longest
        self._at, self._first = np.unique(self.delays, return_index=True)
        self._ends = np.append(self._first[1:], len(order))
        self._by_age = np.argsort(self.ages, kind="stable")
        self._younger = np.searchsorted(self.ages[self._by_age], self._at)

    @property
    def mature(self) -> int:
        """Return how many are of lists for which no more can come."""
        return int((self.ages >= self.longest).sum())

    def distribution(self, weights: Floats | None = None) -> "Distribution":
        """Return the estimate; with `weights` float64[n] each delay counts so often."""
        told = np.ones(len(self.delays)) if weights is None else weights
        total = np.append(0.0, np.cumsum(told))
        same = total[self._ends] - total[self._first]
        younger = np.append(0.0, np.cumsum(told[self._by_age]))[self._younger]
        risk = total[self._ends] - younger
        stays = 1.0 - np.divide(same, risk, out=np.zeros(len(risk)), where=risk > 0)
        before = np.append(np.cumprod(stays[::-1].clip(0.0, 1.0))[::-1], 1.0)
        return Distribution(self._at, before, self.longest)


@dataclass(frozen=True, slots=True)
class Distribution:
    """The share of events that come within a delay: a step up at each of `at`, int64[m].

    `shares` float64[m + 1] has that before the first step, and from each on.
    """

    at: Ints
    shares: Floats
    longest: int

    def within(self, ages: Ints) -> Floats:
        """Return the share that has come by each of some ages, int64[k] in ms."""
        told: Floats = self.shares[np.searchsorted(self.at, ages, side="right")]
        return np.where(ages >= self.longest, 1.0, told)
