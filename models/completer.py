"""Lists that rules left too short, filled up with what is popular."""

import numpy as np

from models.items import Items, Mask
from models.parts import Rows
from models.request import Listed
from models.rules.compiled import Arrangement
from models.segment_table import SegmentTable


class Completer:
    """Fills up lists of one model's items: what is under its cap first, then what is over it."""

    def __init__(self, items: Items, segments: SegmentTable) -> None:
        """Take what is popular from `segments`."""
        self._items = items
        self._segments = segments

    def complete(
        self,
        listed: Listed,
        arrangement: Arrangement,
        segment: int,
        allowed: Mask,
        k: int,
        left: Listed,
    ) -> Listed:
        """Return the list with k items, as long as so many are `allowed`, bool[items].

        Of what is over its cap what was ranked and `left` out, best first, comes before others.
        """
        missing = k - len(listed.rows)
        allowed = allowed.copy()
        allowed[listed.rows] = False
        if arrangement.caps is not None:
            listed = self._under_caps(listed, arrangement.caps, segment, allowed, missing)
            listed = listed.then(_first(left, k - len(listed.rows)))
            allowed[listed.rows] = False
            missing = k - len(listed.rows)
        return listed.then(self._segments.popular(segment, allowed, missing))

    def _under_caps(
        self, listed: Listed, caps: Rows, segment: int, allowed: Mask, missing: int
    ) -> Listed:
        """Add what is popular, as long as there is a category that is open.

        As many as fit until a category is full; then what is left is looked at anew.
        """
        shown = self._items.categories_of(np.array(listed.rows, np.int64))
        counts = np.bincount(shown, minlength=len(caps))
        while missing > 0:
            under = allowed & ~self._items.category_mask(np.flatnonzero(counts >= caps))
            under[listed.rows] = False
            more = self._segments.popular(segment, under, missing)
            if not more.rows:
                break
            taken = self._taken(more.rows, counts, caps)
            listed = listed.then(_first(more, taken))
            missing -= taken
        return listed

    def _taken(self, rows: list[int], counts: Rows, caps: Rows) -> int:
        """Add items to `counts` up to the first whose category is full; return how many."""
        for taken, row in enumerate(rows):
            category = int(self._items.categories_of(np.array([row]))[0])
            if counts[category] >= caps[category]:
                return taken
            counts[category] += 1
        return len(rows)


def _first(listed: Listed, count: int) -> Listed:
    """Return the first items of a list of certain ones."""
    return Listed(listed.rows[:count], listed.scores[:count], listed.sources[:count])
