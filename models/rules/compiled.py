"""Rules as arrays over the items of one model, made when it is loaded.

What the model does not know is told in `warnings` and has no effect.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.events import TYPE_CODES, EventType
from features.history import grades_by_code
from features.ids import stable_hash
from models.item_table import ItemTable
from models.rules.declared import (
    Dislikes,
    Explore,
    Page,
    PageRules,
    Rotation,
    Rules,
    Shown,
)

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

MOST_LIFTED = 2_000
"""Boosted items that are looked at beside the candidates: those that sell most."""

_MOST_REMEMBERED = 16
"""Arrangements that are kept, some bytes for each item: one for each page and phase, as a rule."""

_NONE: Rows = np.empty(0, np.int64)
_NEVER = np.iinfo(np.int64).max
_NO_CAP = 1 << 30


class Turn(NamedTuple):
    """Which dated rules are in force, and which slots of time it is: a list is the same within.

    `slot` is the one of rotation, `new_slot` that of places for new items. `after` is how many
    items earlier pages of the list had.
    """

    phase: int = 0
    slot: int = 0
    new_slot: int = 0
    after: int = 0


FIRST = Turn()
"""The turn where no rule changes with time."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The rules of one page, with those of its dated ones that are in force.

    `pool` int64[x] are items that come beside the candidates, `column` int32[items] where each
    stands in it, -1 elsewhere: `pins` (columns of it) with their `positions` from 0, items that
    are lifted (`lifted`, a part of it) and new ones (`fresh`, one that may overlap). `lifts`
    float32[items] are logarithms of factors, `caps` int64[categories], and `categories` int32[x]
    are the pool's.
    """

    rules: PageRules
    pool: Rows
    column: npt.NDArray[np.int32]
    pins: Rows
    positions: Rows
    lifted: slice
    fresh: slice
    lifts: Floats | None
    caps: Rows | None
    categories: npt.NDArray[np.int32]
    against: Floats


class CompiledRules:
    """The rules of a storefront for one model; read-only but for what it remembers."""

    def __init__(
        self, rules: Rules, table: ItemTable, popularity: Floats, met: Floats | None
    ) -> None:
        """Compile for the items of `table`.

        `popularity` float32[items] is everybody's, `met` float32[items] by how many shoppers an
        item was met; where that is not known, what nobody bought is new.
        """
        self.digest = rules.digest
        self.warnings: list[str] = []
        self._rules = rules
        self._table = table
        self._popularity = popularity
        self._met = popularity if met is None else met
        self._categories = {name: row for row, name in enumerate(table.categories)}
        self._rows = _rows_of_items(table, _items_named(rules))
        self._bounds = {page: _bounds(told) for page, told in rules.pages.items()}
        self._like = {page: _first_like(page, rules) for page in rules.pages}
        self._made: dict[tuple[Page, int], Arrangement] = {}
        closed = {page: self._closed(rules.pages[page].show) for page in {*self._like.values()}}
        self.closed = {page: closed[like] for page, like in self._like.items()}
        self.windows_ms = self._windows()
        self.grades = grades_by_code(rules.weights) if rules.weights else None
        self._warn()

    def turn(self, page: Page, user_id: str, now_s: float) -> Turn:
        """Return the turn of a shopper's list at a moment; slots of shoppers begin apart."""
        rules = self._rules.pages[page]
        phase = bisect_right(self._bounds[page], round(now_s * 1_000))
        if not rules.is_by_chance:
            return Turn(phase)
        hashed = stable_hash(user_id)
        return Turn(
            phase, _slot(rules.rotation, hashed, now_s), _slot(rules.explore, hashed, now_s)
        )

    def at(self, page: Page, turn: Turn) -> Arrangement | None:
        """Return how the lists of a page are arranged, None where they are as they were ranked."""
        rules = self._rules.pages[page]
        if not rules.arranges:
            return None
        key = self._like[page], turn.phase
        if (made := self._made.get(key)) is None:
            made = self._arrangement(rules, self._moment_of(*key))
            if len(self._made) >= _MOST_REMEMBERED:
                self._made.clear()
            self._made[key] = made
        return made

    def prepare(self, now_s: float) -> None:
        """Make the arrangements that hold now and will next: no request waits for them."""
        for page in {*self._like.values()}:
            phase = bisect_right(self._bounds[page], round(now_s * 1_000))
            for each in range(phase, min(phase + 2, len(self._bounds[page]) + 1)):
                self.at(page, Turn(each))

    def is_by_chance(self, page: Page) -> bool:
        """Tell whether lists of a page depend on chance."""
        return self._rules.pages[page].is_by_chance

    def drawn_every_s(self, page: Page) -> float:
        """Return how long what chance decides of a page's lists stays the same."""
        return self._rules.pages[page].drawn_every_s

    def _moment_of(self, page: Page, phase: int) -> int:
        """Return a moment of a phase: that at which it begins."""
        bounds = self._bounds[page]
        if phase:
            return bounds[phase - 1]
        return bounds[0] - 1 if bounds else 0

    def _arrangement(self, rules: PageRules, now_ms: int) -> Arrangement:
        pins = self._pins(rules, now_ms)
        lifts = self._lifts(rules, now_ms)
        lifted = _NONE if lifts is None else self._most_popular(np.flatnonzero(lifts > 0))
        fresh = (
            _NONE if rules.explore is None else np.flatnonzero(self._met < rules.explore.met_below)
        )
        pinned = np.array(list(pins.values()), np.int64)
        # An item stands once in the pool; what is new and lifted stands where both parts overlap.
        lifted, fresh = np.setdiff1d(lifted, pinned), np.setdiff1d(fresh, pinned)
        both = np.intersect1d(lifted, fresh)
        parts = np.unique(pinned), np.setdiff1d(lifted, both), both, np.setdiff1d(fresh, both)
        pool = np.concatenate(parts)
        column = np.full(len(self._table), -1, np.int32)
        column[pool] = np.arange(len(pool))
        begins = len(parts[0])
        return Arrangement(
            rules,
            pool,
            column,
            column[pinned].astype(np.int64),
            np.array(list(pins), np.int64),
            slice(begins, begins + len(lifted)),
            slice(len(pool) - len(fresh), len(pool)),
            lifts,
            self._caps(rules),
            self._table.category.take(pool),
            _against(rules.dislikes),
        )

    def _pins(self, rules: PageRules, now_ms: int) -> dict[int, int]:
        """Return the row of the item at each place, from 0; of several claims the first holds."""
        pins: dict[int, int] = {}
        for pin in rules.pins:
            row = self._rows.get(pin.item_id)
            if pin.span.holds(now_ms) and row is not None and row not in pins.values():
                pins.setdefault(pin.position - 1, row)
        return pins

    def _lifts(self, rules: PageRules, now_ms: int) -> Floats | None:
        boosts = [boost for boost in rules.boosts if boost.span.holds(now_ms)]
        if not boosts:
            return None
        lifts = np.zeros(len(self._table), np.float32)
        for boost in boosts:
            told = self._of_categories(boost.categories)
            told[[self._rows[each] for each in boost.items if each in self._rows]] = True
            lifts[told] += np.log(boost.factor)
        return lifts

    def _most_popular(self, rows: Rows) -> Rows:
        if len(rows) <= MOST_LIFTED:
            return rows
        order = np.argsort(-self._popularity[rows], kind="stable")
        return np.sort(rows[order[:MOST_LIFTED]])

    def _caps(self, rules: PageRules) -> Rows | None:
        if rules.caps is None:
            return None
        default = _NO_CAP if rules.caps.default is None else rules.caps.default
        told = [rules.caps.categories.get(name, default) for name in self._table.categories]
        return np.array(told, np.int64)

    def _closed(self, show: Shown) -> Mask | None:
        """Return bool[items]: what a page never shows; None where that is nothing."""
        table = self._table
        closed = np.zeros(len(table), np.bool_)
        if show.in_stock:
            closed |= ~table.in_stock
        if show.price_min is not None:  # an unknown price passes no bound
            closed |= ~(table.price >= show.price_min)
        if show.price_max is not None:
            closed |= ~(table.price <= show.price_max)
        if show.categories is not None:
            closed |= ~self._of_categories(show.categories)
        closed |= self._of_categories(show.excluded_categories)
        closed[[self._rows[each] for each in show.excluded_items if each in self._rows]] = True
        return closed if closed.any() else None

    def _of_categories(self, names: Iterable[str]) -> Mask:
        known = [self._categories[name] for name in names if name in self._categories]
        told: Mask = np.isin(self._table.category, known)
        return told

    def _windows(self) -> Rows | None:
        """Return int64[categories]: after how many milliseconds what was bought comes back."""
        repurchase = self._rules.repurchase
        if not repurchase.any:
            return None
        told = [
            repurchase.categories.get(name, repurchase.default) for name in self._table.categories
        ]
        return np.array([_NEVER if each is None else each for each in told], np.int64)

    def _warn(self) -> None:
        items = sorted(_items_named(self._rules) - self._rows.keys())
        self.warnings += [
            f"the model has no item {name!r}: rules on it do nothing" for name in items
        ]
        categories = sorted(_categories_named(self._rules) - self._categories.keys())
        self.warnings += [
            f"the model has no category {name!r}: rules on it do nothing" for name in categories
        ]


def _slot(rule: Rotation | Explore | None, hashed: int, now_s: float) -> int:
    """Return which slot of a rule it is for a shopper, 0 where there is no rule."""
    if rule is None:
        return 0
    return int((now_s + hashed % int(rule.every_s)) // rule.every_s)


def _first_like(page: Page, rules: Rules) -> Page:
    """Return the first page with the same rules: what is made for it serves for both."""
    return next(each for each, told in rules.pages.items() if told == rules.pages[page])


def _against(dislikes: Dislikes) -> Floats:
    """Return float32[16]: what an event is worth against what is like its item, by its code."""
    by_code = np.zeros(16, np.float32)
    by_code[TYPE_CODES[EventType.NOT_INTERESTED]] = dislikes.not_interested
    by_code[TYPE_CODES[EventType.RATING]] = dislikes.low_stars
    by_code[TYPE_CODES[EventType.REMOVE_FROM_CART]] = dislikes.remove_from_cart
    return by_code


def _bounds(rules: PageRules) -> Sequence[int]:
    """Return the moments at which dated rules begin or end, ascending."""
    spans = [*(pin.span for pin in rules.pins), *(boost.span for boost in rules.boosts)]
    told = {each for span in spans for each in (span.since, span.until)}
    return sorted(each for each in told if each is not None)


def _items_named(rules: Rules) -> set[str]:
    return _named(
        rules,
        lambda page: (
            *(pin.item_id for pin in page.pins),
            *(name for boost in page.boosts for name in boost.items),
            *page.show.excluded_items,
        ),
    )


def _categories_named(rules: Rules) -> set[str]:
    told = _named(
        rules,
        lambda page: (
            *(name for boost in page.boosts for name in boost.categories),
            *page.show.excluded_categories,
            *(page.show.categories or ()),
            *(page.caps.categories if page.caps else ()),
        ),
    )
    return told | set(rules.repurchase.categories)


def _named(rules: Rules, names: Callable[[PageRules], Iterable[str]]) -> set[str]:
    return {name for page in rules.pages.values() for name in names(page)}


def _rows_of_items(table: ItemTable, names: Iterable[str]) -> Mapping[str, int]:
    """Return the rows of the items that the table has."""
    told = {}
    for name in names:
        wanted = np.uint64(stable_hash(name))
        place = int(table.hashes.searchsorted(wanted))
        if place < len(table) and table.hashes[place] == wanted:
            row = int(table.hash_rows[place])
            if table.item_ids[row] == name:
                told[name] = row
    return told
