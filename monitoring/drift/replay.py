"""Windows drawn from a reference: what the monitor would have said had nothing changed.

    shoppers ─┬─ one half: the reference
              └─ other half ─ visits of each hour, in any order ─ windows, hour by hour

A visit is all that a shopper did in an hour of the week. None comes twice before all came once, so
that windows that are looked at together vary as new ones would, as long as they are small.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models.reference.rows import SLOTS, Rows
from monitoring.drift.columns import NumericColumn
from monitoring.drift.counts import Counts
from monitoring.drift.detector import SCALES, at_scales
from monitoring.drift.policy import Policy
from monitoring.drift.reference import LEAST_IN_HOUR, Reference
from monitoring.false_discovery import adjusted

_DAY = 24
_ALL = -1
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""Makes of numbers what falls into any bucket (Fibonacci hashing)."""
_BEFORE = max(SCALES)


@dataclass(frozen=True, slots=True)
class Looks:
    """What was found in windows one after another: q and effects float64[windows, columns].

    `p` are the p-values behind the q-values.
    """

    names: tuple[str, ...]
    p: npt.NDArray[np.float64]
    q: npt.NDArray[np.float64]
    effects: npt.NDArray[np.float64]

    def alarms(self, policy: Policy, q: float) -> int:
        """Return how often a column would have begun to be told as drifted at this `q`."""
        floors = np.array([policy.limits.floor_of(name) for name in self.names])
        drifted = (self.q <= q) & (self.effects >= floors)
        before = np.vstack((np.zeros((1, drifted.shape[1]), bool), drifted[:-1]))
        return int((drifted & ~before).sum())


def most_rows(rows: Rows) -> int:
    """Return how many rows a window may have without a visit that comes twice, or nearly."""
    return max(len(rows) // 2 // _DAY, 1)


class Replay:
    """A reference and windows from two halves of the shoppers in `rows`, drawn by `seed`."""

    def __init__(
        self,
        rows: Rows,
        words: list[str],
        policy: Policy,
        window_rows: int,
        windows: int,
        seed: int,
    ) -> None:
        """Draw `windows` of `window_rows` each, and some before them."""
        random = np.random.default_rng(seed)
        _, shopper = np.unique(rows.shoppers, return_inverse=True)
        half = (random.permutation(shopper.max() + 1) % 2).astype(bool)[shopper]
        self.policy = policy
        self.reference = Reference.of(rows.take(~half), words)
        hours = [
            number * policy.window_minutes // 60 % SLOTS for number in range(_BEFORE + windows)
        ]
        hashed = rows.shoppers * _SPREAD
        visits = _Visits(replace(rows, shoppers=hashed).take(half), random)
        self._rows = [visits.drawn(hour, window_rows) for hour in hours]
        self._counts = [Counts.of(self.reference.columns, each) for each in self._rows]

    def looks(self) -> Looks:
        """Return what was found in each window."""
        names = tuple(each.name for each in self.reference.columns)
        told = [self._tested(self.reference, at) for at in self._places()]
        p = np.array([[each[name][0] for name in names] for each in told])
        effects = np.array([[each[name][1] for name in names] for each in told])
        return Looks(names, p, np.array([adjusted(row) for row in p]), effects)

    def power(
        self, looks: Looks, name: str, shift: float, q: float, within: int, trials: int
    ) -> float:
        """Return how often a shift by so many standard deviations is found `within` windows."""
        column = self.reference.column(name)
        if not isinstance(column, NumericColumn):
            raise TypeError(name)
        alone = replace(self.reference, columns=(column,))
        floor = self.policy.limits.floor_of(name)
        starts = np.linspace(0, len(looks.q) - within, trials).astype(int).tolist()
        found = 0
        for start in starts:
            moved = self._moved(column, start, within, shift * column.spread)
            found += any(
                self._is_found(looks, alone, column.name, start + at, moved, q, floor)
                for at in range(within)
            )
        return found / len(starts)

    def _is_found(
        self,
        looks: Looks,
        alone: Reference,
        name: str,
        look: int,
        counts: list[Counts],
        q: float,
        floor: float,
    ) -> bool:
        p, effect = self._tested(alone, look + _BEFORE, counts)[name]
        place = looks.names.index(name)
        together = looks.p[look].copy()
        together[place] = p
        return effect >= floor and adjusted(together.tolist())[place] <= q

    def _moved(self, column: NumericColumn, start: int, within: int, by: float) -> list[Counts]:
        """Return all windows, those from `start` on with a column that is moved."""
        counts = list(self._counts)
        for at in range(start + _BEFORE, start + _BEFORE + within):
            rows = self._rows[at]
            values = {column.name: shifted(rows.values[column.name], by, at)}
            counts[at] = Counts.of([column], replace(rows, values=values))
        return counts

    def _tested(
        self, reference: Reference, at: int, counts: list[Counts] | None = None
    ) -> dict[str, tuple[float, float]]:
        windows = (counts or self._counts)[at - _BEFORE + 1 : at + 1]
        least = self.policy.limits.least_rows
        scales = [each for each in SCALES if sum(w.rows for w in windows[-each:]) >= least]
        if not scales:
            return {each.name: (1.0, 0.0) for each in reference.columns}
        told = at_scales(reference, windows, scales)
        return {name: (each.p, each.effect) for name, (each, _) in told.items()}

    def _places(self) -> Iterator[int]:
        yield from range(_BEFORE, len(self._counts))


def shifted(values: npt.NDArray[np.float64], by: float, seed: int) -> npt.NDArray[np.float64]:
    """Return `values` float64[n] larger by `by` on average; whole numbers stay whole."""
    known = values[~np.isnan(values)]
    if (known != np.floor(known)).any():
        return values + by
    rest = np.random.default_rng(seed).random(len(values)) < by % 1
    moved: npt.NDArray[np.float64] = values + by // 1 + rest
    return moved


class _Visits:
    """The visits in rows, by hour of the day; all of them stand for hours of few."""

    def __init__(self, rows: Rows, random: np.random.Generator) -> None:
        self._rows = rows
        self._random = random
        order = np.lexsort((rows.slots, rows.shoppers))
        who, when = rows.shoppers[order], rows.slots[order]
        starts = np.flatnonzero((who[1:] != who[:-1]) | (when[1:] != when[:-1])) + 1
        visits = np.split(order, starts)
        self._visits: dict[int, list[npt.NDArray[np.int64]]] = {_ALL: visits}
        for visit in visits:
            self._visits.setdefault(int(rows.slots[visit[0]]) % _DAY, []).append(visit)
        self._left: dict[int, list[int]] = {}

    def drawn(self, slot: int, count: int) -> Rows:
        """Return `count` rows of an hour."""
        hour = slot % _DAY
        if sum(map(len, self._visits.get(hour, []))) < LEAST_IN_HOUR:
            hour = _ALL
        places = [self._next(hour)]
        while sum(map(len, places)) < count:
            places.append(self._next(hour))
        chosen = np.concatenate(places)[:count]
        rows = self._rows.take(chosen)
        return replace(rows, slots=np.full(count, slot, np.int64))

    def _next(self, hour: int) -> npt.NDArray[np.int64]:
        if not self._left.get(hour):
            self._left[hour] = self._random.permutation(len(self._visits[hour])).tolist()
        return self._visits[hour][self._left[hour].pop()]
