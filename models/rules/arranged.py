"""Lists as they were arranged, and what is told of each item in them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from models.parts import Floats, Rows
from models.reasons import Kind, Sources, because
from models.request import Listed
from models.rules.arrange import Filled
from models.rules.asked import Asked
from models.rules.compiled import Arrangement
from models.rules.contenders import Contenders
from models.rules.reserved import Reserved


class Arranged(NamedTuple):
    """One list: columns of its contenders, their scores, kinds (0: as ranked), and propensities.

    `places` are where they stand, from 0: not one after the other where too few were found. Then
    `left` are those whom caps left no place, best first; None where nothing is missing.
    """

    columns: Rows
    scores: Floats
    kinds: Sources
    propensities: list[float]
    places: list[int]
    left: "Arranged | None"

    def listed(self, rows: Rows, sources: Sources) -> Listed:
        """Return the items: `rows` int64[c] are those of the columns.

        `sources`, one for each item of the list, are theirs where nothing but rank speaks for it.
        """
        return Listed(
            rows[self.columns].tolist(),
            self.scores.tolist(),
            np.where(self.kinds > 0, self.kinds, sources).tolist(),
            self.propensities,
        )


def arranged(
    arrangement: Arrangement,
    contenders: Contenders,
    filled: Filled,
    reserved: Reserved,
    scores: Floats,
    asked: Sequence[Asked],
) -> Iterator[Arranged]:
    """Yield the list of each who asked; `scores` float32[g, competing] are told of its items."""
    by_chance = arrangement.rules.is_by_chance
    pinned = arrangement.pool[arrangement.pins]
    for number, each in enumerate(asked):
        columns = filled.columns[number, : each.k]
        there = columns >= 0
        kept = columns[there]
        rows = contenders.rows[number, kept]
        is_reserved = reserved.places[number, : each.k][there] >= 0
        is_pinned = np.isin(rows, pinned) & is_reserved
        told = scores[number].take(kept, mode="clip")
        told[is_reserved] = 0  # nobody ranked them
        propensities = filled.propensities[number, : each.k][there]
        propensities[is_reserved] = reserved.chances[number, : each.k][there][is_reserved]
        room = each.k - int(np.count_nonzero(is_reserved))
        kinds = _kinds(arrangement, rows, filled.places[number, kept], room)
        kinds[is_reserved] = because(Kind.EXPLORE)
        kinds[is_pinned] = because(Kind.PINNED)
        left = None
        if len(kept) < each.k:
            columns = _left(filled.worth[number], kept)
            stood = filled.places[number, columns]
            why = _kinds(arrangement, contenders.rows[number, columns], stood, room)
            left = Arranged(columns, scores[number, columns], why, [], [], None)
        yield Arranged(
            kept,
            told,
            kinds,
            propensities.tolist() if by_chance else [],
            np.flatnonzero(there).tolist(),
            left,
        )


def _left(worth: Floats, kept: Rows) -> Rows:
    """Return the columns that compete and were not kept, best first."""
    order = np.argsort(-worth, kind="stable")
    return order[(worth[order] > -np.inf) & ~np.isin(order, kept)]


def _kinds(arrangement: Arrangement, rows: Rows, places: Rows, room: int) -> Sources:
    """Return what speaks for each item beside its rank, 0 for nothing.

    `places` int64[n] are where the items stood by score alone, `room` places went by that.
    """
    kinds = np.zeros(len(rows), np.int64)
    if arrangement.lifts is not None:
        kinds[(places > room) & (arrangement.lifts.take(rows) > 0)] = because(Kind.PROMOTED)
    return kinds
