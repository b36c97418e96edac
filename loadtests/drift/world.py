"""A made-up world in which shoppers come back and the day has a rhythm, to detect drift in.

40 numbers and 10 words a row. A shopper's rows are alike (intraclass correlation 0.3), numbers
rise and fall by 0.2 standard deviations over the day, and an hour has some fifty shoppers with
twenty rows each.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from models.reference.rows import Rows

NUMBERS, WORDS = 40, 10
LEVELS = np.array([f"level {each}" for each in range(10)], object)
ALIKE = 0.3
RHYTHM = 0.2
ROWS, ROWS_PER_SHOPPER = 1_000, 20
DRIFTED_NUMBERS, DRIFTED_WORDS = 5, 2

_TENTHS = np.array([NormalDist().inv_cdf(each / 10) for each in range(1, 10)])


@dataclass(frozen=True, slots=True)
class Change:
    """What differs from the world as it was, in the first columns of each kind."""

    shift: float = 0.0
    scale: float = 1.0
    moved: float = 0.0
    """Mass that moves from the commonest level to the second."""

    new: float = 0.0
    """Mass of a level that was never seen."""


class World:
    """Draws hours of rows; equal seeds draw equal rows."""

    def __init__(self, seed: int, shoppers: int = 20_000, repeated: bool = True) -> None:
        """People the world with `shoppers`, whose rows are alike where they are `repeated`."""
        self._random = np.random.default_rng(seed)
        self._repeated = repeated
        self._own = self._random.normal(size=(shoppers, NUMBERS)) * np.sqrt(ALIKE)
        self._taste = self._random.normal(size=(shoppers, WORDS)) * np.sqrt(ALIKE)
        self._phase = self._random.uniform(0, 2 * np.pi, NUMBERS)

    def hour(self, slot: int, rows: int = ROWS, change: Change = Change()) -> Rows:
        """Return the rows of one hour of the week."""
        random = self._random
        each = ROWS_PER_SHOPPER if self._repeated else 1
        visitors = random.choice(len(self._own), -(-rows // each), replace=False)
        who = np.repeat(visitors, each)[:rows]
        numbers = self._own[who] + random.normal(size=(rows, NUMBERS)) * np.sqrt(1 - ALIKE)
        numbers += RHYTHM * np.sin(2 * np.pi * (slot % 24) / 24 + self._phase)
        numbers[:, :DRIFTED_NUMBERS] *= change.scale
        numbers[:, :DRIFTED_NUMBERS] += change.shift
        tastes = self._taste[who] + random.normal(size=(rows, WORDS)) * np.sqrt(1 - ALIKE)
        words = np.searchsorted(_TENTHS, tastes)
        values: dict[str, npt.NDArray[np.object_] | npt.NDArray[np.float64]] = {
            f"number {column}": numbers[:, column] for column in range(NUMBERS)
        }
        for column in range(WORDS):
            told = LEVELS[words[:, column]]
            if column < DRIFTED_WORDS:
                told = self._changed(told, change)
            values[f"word {column}"] = told
        return Rows(
            who.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15), np.full(rows, slot), values
        )

    def _changed(self, told: npt.NDArray[np.object_], change: Change) -> npt.NDArray[np.object_]:
        share = (told == LEVELS[0]).mean()
        if change.moved and share:
            moves = (told == LEVELS[0]) & (self._random.random(len(told)) < change.moved / share)
            told = np.where(moves, LEVELS[1], told)
        if change.new:
            told = np.where(self._random.random(len(told)) < change.new, "new level", told)
        return told
