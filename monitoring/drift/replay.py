"""Windows drawn from a reference: what the monitor would have said had nothing changed.

    shoppers ─┬─ one half: the reference
              └─ other half ─ visits of each hour, in any order ─ windows, hour by hour

A visit is all that a shopper did in an hour of the week. None comes twice before all came once, so
that windows that are looked at together vary as new ones would, as long as they are small.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models.reference.rows import SLOTS, Rows
from monitoring.drift.columns import CategoricalColumn, Column, Values
from monitoring.drift.counts import Counts
from monitoring.drift.detector import SCALES, Watched
from monitoring.drift.policy import Policy
from monitoring.drift.reference import LEAST_IN_HOUR, Reference, references_of, scored_of
from monitoring.false_discovery import adjusted

_DAY = 24
_ALL = -1
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""Makes of numbers what falls into any bucket (Fibonacci hashing)."""
_BEFORE = max(SCALES)

_GROUPS: tuple[Callable[[Rows], Rows], ...] = (lambda rows: rows, scored_of)
"""The rows that features are counted of, and those of scores."""


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
        self.references = references_of(rows.take(~half), words)
        hours = [
            number * policy.window_minutes // 60 % SLOTS for number in range(_BEFORE + windows)
        ]
        hashed = rows.shoppers * _SPREAD
        visits = _Visits(replace(rows, shoppers=hashed).take(half), random)
        self._rows = [visits.drawn(hour, window_rows) for hour in hours]
        self._counts = [
            [Counts.of(reference.columns, group(each)) for each in self._rows]
            for reference, group in zip(self.references, _GROUPS, strict=False)
        ]

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return all columns, those of features first."""
        return tuple(column for each in self.references for column in each.columns)

    def looks(self) -> Looks:
        """Return what was found in each window."""
        names = tuple(each.name for each in self.columns)
        told = [self._look(at) for at in range(_BEFORE, len(self._rows))]
        p = np.array([[each[name][0] for name in names] for each in told])
        effects = np.array([[each[name][1] for name in names] for each in told])
        return Looks(names, p, np.array([adjusted(row) for row in p]), effects)

    def found(
        self, looks: Looks, name: str, size: float, q: float, within: int, trials: int
    ) -> int:
        """Return in how many of `trials` a change of a column is told `within` so many windows.

        The change is of so many standard deviations, or of such a share of all words. It is told
        where the monitor would: by its q-value beside all other columns, quiet as they are, and by
        its effect.
        """
        group = next(at for at, each in enumerate(self.references) if name in each.bins)
        column = self.references[group].column(name)
        alone = replace(self.references[group], columns=(column,))
        starts = np.linspace(0, len(looks.q) - within, trials).astype(int).tolist()
        found = 0
        for start in starts:
            windows = self._changed(group, column, start, within, size)
            found += any(
                self._is_told(looks, alone, name, start + at, windows, q) for at in range(within)
            )
        return found

    def _is_told(
        self,
        looks: Looks,
        alone: Reference,
        name: str,
        look: int,
        windows: Sequence[Counts],
        q: float,
    ) -> bool:
        p, effect = self._tested(alone, look + _BEFORE, windows)[name]
        place = looks.names.index(name)
        together = looks.p[look].copy()
        together[place] = p
        told = adjusted(together.tolist())[place]
        return effect >= self.policy.limits.floor_of(name) and told <= q

    def _changed(
        self, group: int, column: Column, start: int, within: int, size: float
    ) -> list[Counts]:
        """Return all windows of a group, those from `start` on with a column that has changed."""
        windows = [
            replace(each, bins={column.name: each.bins[column.name]})  # others need no adding up
            for each in self._counts[group]
        ]
        for at in range(start + _BEFORE, start + _BEFORE + within):
            rows = _GROUPS[group](self._rows[at])
            values = {column.name: changed(column, rows.values[column.name], size, at)}
            windows[at] = Counts.of([column], replace(rows, values=values))
        return windows

    def _look(self, at: int) -> dict[str, tuple[float, float]]:
        """Return p and effect of every column in window number `at`."""
        groups = zip(self.references, self._counts, strict=True)
        return {
            name: told
            for reference, windows in groups
            for name, told in self._tested(reference, at, windows).items()
        }

    def _tested(
        self, reference: Reference, at: int, windows: Sequence[Counts]
    ) -> dict[str, tuple[float, float]]:
        watched = Watched(reference, windows[at - _BEFORE + 1 : at + 1])
        told = watched.tested(self.policy.limits.least_rows)
        nothing = {each.name: (1.0, 0.0) for each in reference.columns}
        return nothing | {name: (each.p, each.effect) for name, (each, _) in told.items()}


def changed(column: Column, values: Values, size: float, seed: int) -> Values:
    """Return values of a column that has changed by `size`, see `Replay.found`."""
    if isinstance(column, CategoricalColumn):
        return moved(column, values, size, seed)
    return shifted(values, size * column.spread, seed)


def moved(column: CategoricalColumn, values: Values, share: float, seed: int) -> Values:
    """Return words of which such a `share` of all moves from the commonest level to the second.

    It is a new one where there is but one level; of less than `share` everything moves.
    """
    commonest, second = (*column.levels, "another")[:2]
    places = np.flatnonzero(values == commonest)
    random = np.random.default_rng(seed)
    told: Values = values.copy()
    told[random.permutation(places)[: round(share * len(values))]] = second
    return told


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
