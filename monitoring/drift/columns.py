"""Columns that are watched, and the bins in which their values are counted.

A numeric column has the bins [missing, below, between quantiles of the reference …, above], a
categorical one [missing, its commonest levels …, other, new]: a value that the reference never
saw has a place of its own, and the number of bins never changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

Values: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]

MISSING = 0
QUANTILES = 256
"""Parts of a numeric reference; each holds as much of it, ties apart."""

LEVELS = 50
"""Levels of a categorical column that are told apart; rarer ones are one."""


@dataclass(frozen=True, slots=True)
class NumericColumn:
    """A column of numbers; NaN is what is missing.

    `edges` float64[m + 1] bound m bins, each open below and closed above; `centres` float64[m] are
    the means of what the reference has in them, `spread` is its standard deviation. `scores`
    float64[m + 3] are the normal scores (van der Waerden) of all bins, 0 of what is missing.
    """

    name: str
    edges: Floats
    centres: Floats
    spread: float
    scores: Floats

    @classmethod
    def of(cls, name: str, values: Floats) -> Self:
        """Return the column of a reference float64[n] with at least one number."""
        known = np.sort(values[~np.isnan(values)])
        edges = np.unique(np.quantile(known, np.linspace(0, 1, QUANTILES + 1), method="higher"))
        edges = np.concatenate(([np.nextafter(edges[0], -np.inf)], edges))
        places = np.searchsorted(edges, known) - 1
        counts = np.bincount(places, minlength=len(edges) - 1)
        sums = np.bincount(places, known, minlength=len(edges) - 1)
        return cls(name, edges, sums / counts, float(known.std()), _normal_scores(counts))

    @property
    def size(self) -> int:
        """Return the number of bins."""
        return len(self.edges) + 2

    def bins_of(self, values: Values) -> Ints:
        """Return the bin int64[n] of each of `values`, anything that becomes float64[n]."""
        numbers = np.asarray(values, np.float64)
        bins = np.searchsorted(self.edges, numbers) + 1
        bins[np.isnan(numbers)] = MISSING
        return bins

    def label(self, number: int) -> str:
        """Return what is in a bin, in words."""
        if number == MISSING:
            return "missing"
        if number == 1:
            return f"below {self.edges[1]:g}"
        if number == self.size - 1:
            return f"above {self.edges[-1]:g}"
        return f"up to {self.edges[number - 1]:g}"


@dataclass(frozen=True, slots=True)
class CategoricalColumn:
    """A column of words; None is what is missing. `levels` are the commonest of the reference.

    `others` are those the reference had besides, which are no news.
    """

    name: str
    levels: tuple[str, ...]
    others: frozenset[str]

    @classmethod
    def of(cls, name: str, values: Sequence[str | None]) -> Self:
        """Return the column of a reference."""
        counts: dict[str, int] = {}
        for value in values:
            if value is not None:
                counts[value] = counts.get(value, 0) + 1
        ordered = sorted(counts, key=lambda each: (-counts[each], each))
        return cls(name, tuple(ordered[:LEVELS]), frozenset(ordered[LEVELS:]))

    @property
    def size(self) -> int:
        """Return the number of bins."""
        return len(self.levels) + 3

    def bins_of(self, values: Sequence[str | None] | Values) -> Ints:
        """Return the bin int64[n] of each of `values`, words or None."""
        places: dict[str | None, int] = {each: at for at, each in enumerate(self.levels, 1)}
        places |= dict.fromkeys(self.others, self.size - 2)
        places[None] = MISSING
        return np.array([places.get(each, self.size - 1) for each in values], np.int64)

    def label(self, number: int) -> str:
        """Return what is in a bin, in words."""
        return ("missing", *self.levels, "other", "new")[number]


def _normal_scores(counts: Ints) -> Floats:
    """Return the normal score of the middle rank of each bin, and of the ends beyond."""
    total = counts.sum()
    ranks = (np.cumsum(counts) - counts / 2) / total
    end = ndtri(0.5 / total)
    return np.concatenate(([0.0, end], ndtri(ranks), [-end]))


Column: TypeAlias = NumericColumn | CategoricalColumn
