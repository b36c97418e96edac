"""What a cohort that is not mature yet will have come to: an estimate, and told as one.

    events so far / (lists x share of events that come so soon) = the rate when all is known

Its interval is of a bootstrap over shoppers, whose lists are alike (each counts as often as a
Poisson number of mean 1 says: Chamandy, Muralidharan, Najmi and Naidu 2012), and over what is still
to come, which is Poisson as well.
"""

from dataclasses import dataclass

import numpy as np

from monitoring.outcomes.delays import Delays, Distribution, Floats, Ints

REPLICATES = 200
INTERVAL = (2.5, 97.5)
LEAST_MATURE = 20
"""Delays of mature lists that must be known: before, nobody knows how long it takes."""

LEAST_SEEN = 5
LEAST_SHARE = 0.05
"""Fewer events, or a smaller share of those to come, say nothing."""


@dataclass(frozen=True, slots=True)
class Nowcast:
    """The rate of a cohort when it is mature, as estimated, with its 95 % interval.

    `complete` is the share of its events that has come, as estimated, too.
    """

    rate: float
    low: float
    high: float
    complete: float


@dataclass(frozen=True, slots=True)
class Young:
    """A cohort that is not mature: its shoppers' `lists` and how many `have` the event, both [s].

    `ages` int64[k] in ms are those of its lists, `counts` float64[k] how many are so old.
    """

    lists: Floats
    have: Floats
    ages: Ints
    counts: Floats

    def complete(self, distribution: Distribution) -> float:
        """Return the share of its events that has come."""
        return float(distribution.within(self.ages) @ self.counts / self.counts.sum())


def nowcast(young: Young, delays: Delays, seed: int = 0) -> Nowcast | str:
    """Return the estimate for a cohort that has lists, or why there is none."""
    if delays.mature < LEAST_MATURE:
        return f"fewer than {LEAST_MATURE} delays of mature lists"
    seen = young.have.sum()
    complete = young.complete(delays.distribution())
    if seen < LEAST_SEEN or complete < LEAST_SHARE:
        return "too young"
    lists = young.lists.sum()
    rate = min(seen / (lists * complete), 1.0)
    told = [each for each in _replicates(young, delays, np.random.default_rng(seed)) if each >= 0]
    low, high = np.percentile(told, INTERVAL).tolist()
    return Nowcast(float(rate), min(low, rate), max(high, rate), complete)


def _replicates(young: Young, delays: Delays, random: np.random.Generator) -> list[float]:
    lists, seen = young.lists.sum(), young.have.sum()
    shoppers, whose = np.unique(delays.shoppers, return_inverse=True)
    told = []
    for _ in range(REPLICATES):
        weights = random.poisson(1.0, len(shoppers)).astype(np.float64)[whose]
        complete = young.complete(delays.distribution(weights))
        often = random.poisson(1.0, len(young.lists))
        exposed = (often @ young.lists) * complete
        if exposed <= 0:
            continue
        rate = min(float(often @ young.have) / exposed, 1.0)
        to_come = random.poisson(rate * lists * (1.0 - complete))
        told.append(min((seen + to_come) / lists, 1.0))
    return told
