"""A model that serves: read-only, made from a verified bundle, all of numpy and onnxruntime.

rank    graded history ─ tower, one run ─ 100 allowed each ─ features ─ ranker, one run ─ top k
popular what a segment buys, in order, without what is not allowed
similar the nearest items in the direction of their factors
bought  what shares baskets with items, then what is similar, then what is popular
"""

import math
import time
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import TypeAlias

import numpy as np

from features.eventlog import NO_RECORDS
from features.events import RECORD, TYPE_CODES, EventType
from features.history import RECENT_CAP
from features.identity.forgotten import Forgotten
from features.ids import NO_HASHES, Hashes, stable_hash, stable_hashes
from features.moments import Moment
from features.shelf import Shelf
from models.batch import Batch
from models.candidates import WIDTHS
from models.companion_table import CompanionTable
from models.completer import Completer
from models.contests import Contests
from models.errors import BundleError, ModelsError
from models.items import Items
from models.items_json import ItemsJson
from models.lease import Lease
from models.parts import Floats, Parts, Rows, forgotten_ms, learnt_until_ms
from models.pauses import pause
from models.personal import PersonalRanker
from models.personal_arranger import PersonalArranger
from models.popular_arranger import PopularArranger
from models.popular_list import LENGTH, PopularList
from models.request import ANY_IN_STOCK, Filters, Listed, Ranking, RankRequest, Spot, Written
from models.rules.compiled import FIRST, CompiledRules, Turn
from models.rules.declared import Page, Rules
from models.segment_table import GLOBAL, SegmentTable
from models.used import UsedRow

_WARM_BATCH = 8
_TIMED_BATCH = 4
"""Shoppers for whom the ways to find candidates are timed: among many items a run is long."""

_WARM_EVENTS = (*WIDTHS[:-1], RECENT_CAP)
"""Lengths of history to rehearse: one for each width the tower meets."""

_MOST_CONSTANT = 256
"""Lists of popular items that are kept as they are written."""

_CROWDS = 8
"""So many lists of popular items there are at once where chance decides."""


Writer: TypeAlias = Callable[["Model", Listed, int], bytes]
"""Writes a list of which so many items were asked for."""


def plain_json(model: "Model", listed: Listed, _: int) -> bytes:
    """Return items as a JSON array."""
    return model.json(listed)


class Model:
    """Ranks for shoppers, and knows what is popular and what is similar.

    Once warm it changes no more, but for what it remembers and whom it forgets: any thread may
    ask it.
    """

    def __init__(
        self,
        parts: Parts,
        version: str = "unsaved",
        created: str = "",
        *,
        is_whole: bool = True,
        held: Lease | None = None,
    ) -> None:
        """Open the graphs of `parts`; raise `BundleError` where they do not fit its items.

        `held` is the hold on the bundle they come from: it ends with the model.
        """
        self.version = version
        self.created = created
        self.is_whole = is_whole
        """False for what is left of a bundle whose personal part cannot be used."""
        self._example_user = parts.example_user
        self.held = held
        self.example_user = parts.example_user
        self._forgotten_ms = forgotten_ms(parts.parameters)
        self.learnt_until_ms = learnt_until_ms(parts.parameters)
        self.cost_s = 0.0
        """Seconds one shopper's share of a run takes, measured by `warm`."""
        self._items = Items(parts.items)
        pause()
        self._segments = SegmentTable(parts.segments)
        self.segment_names = self._segments.names
        self._companions = None if parts.companions is None else CompanionTable(parts.companions)
        self._json = ItemsJson(self._items.ids, parts.items.names, self.segment_names)
        pause()
        self._constant: dict[tuple[int, Filters, int, Spot | None, Writer], Written] = {}
        self._popular: dict[int, PopularList] = {}
        self._table = parts.items
        self.stamp = version
        """What lists of this model are true for: its version, the shelf and its rules."""
        self.shelf: str | None = None
        """The digest of that shelf, None where the bundle is all that is known."""
        self._personal = (
            None
            if parts.personal is None
            else PersonalRanker(parts.personal, self._items, self._segments)
        )
        self._rules: CompiledRules | None = None
        self._ranks: PersonalRanker | PersonalArranger | None = self._personal
        self._arranges: PopularArranger | None = None

    def forget(self, forgotten: Forgotten | None) -> None:
        """Use no more what training knew of those forgotten since; of nobody where that is None."""
        since = None if forgotten is None else forgotten.since(self._forgotten_ms)
        self._segments.hide(since)
        told = self._example_user
        is_hidden = since is None or (told is not None and np.uint64(stable_hash(told)) in since)
        self.example_user = None if is_hidden else told

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self._items)

    def stock(self, shelf: Shelf) -> None:
        """Go by the prices and the stock of a shelf: the bundle is older.

        Only before it serves, and before it follows rules.
        """
        self.shelf = shelf.digest
        table = self._table.stocked(shelf)
        if table is not self._table:
            self._table = table
            self._items.restock(table)
            self.stamp = f"{self.version}+{shelf.digest}"

    def follow(self, rules: Rules) -> list[str]:
        """Follow a storefront's rules from now on; return what of them has nothing to act on.

        Only before it serves.
        """
        everybody = self._segments.popularity(GLOBAL, np.arange(len(self)))
        met = None if self._personal is None else self._personal.met_by
        compiled = CompiledRules(rules, self._table, everybody, met)
        compiled.prepare(time.time())
        self._items.close(compiled.closed)
        self._constant.clear()
        self._popular.clear()
        self._rules = compiled
        self._arrange(compiled)
        self.stamp = f"{self.stamp}+{compiled.digest}"
        return compiled.warnings

    def _arrange(self, rules: CompiledRules) -> None:
        """Arrange by `rules` what is ranked, and what is popular."""
        contests = Contests(self._items, self._personal)
        completer = Completer(self._items, self._segments)
        self._arranges = PopularArranger(rules, self._segments, contests, completer)
        if self._personal is not None:
            self._ranks = PersonalArranger(rules, self._items, self._personal, contests, completer)

    def turn(self, page: Page, user_id: str, now_s: float) -> Turn:
        """Return which rules hold for a list at a moment, and in which slot of time it falls."""
        if self._rules is None:
            return FIRST
        return self._rules.turn(page, user_id, now_s)

    def drawn_every_s(self, page: Page) -> float:
        """Return how long what chance decides of a page's lists stays the same."""
        return math.inf if self._rules is None else self._rules.drawn_every_s(page)

    @property
    def is_personal(self) -> bool:
        """Tell whether there was enough data for more than popular items."""
        return self._personal is not None

    @property
    def is_exact(self) -> bool:
        """Tell whether candidates come from scoring every item, not from an index."""
        return self._personal is None or self._personal.is_exact

    def index_of(self, item_id: str) -> int | None:
        """Return the row of an item, None where the model does not know it."""
        return self._items.row_of(item_id)

    def item_id(self, index: int) -> str:
        """Return the id of the item in a row."""
        return self._items.ids[index]

    def item_name(self, index: int) -> str:
        """Return what people call the item in a row, empty where that is not known."""
        return self._table.names[index]

    def indices_of(self, hashes: Hashes) -> Rows:
        """Return the rows of item hashes, int64[n], -1 for items the model does not know."""
        return self._items.rows_of(hashes)

    def segment_named(self, name: str) -> int | None:
        """Return the row of the segment called `name`, None where there is none."""
        return self._segments.named(name)

    def shared_segment(self, user_id: str, country: object) -> int:
        """Return the segment training put the shopper in, else their market's, else everybody."""
        return self._segments.shared(user_id, country)

    def segment_looked_at(self, segment: int, item_id: str) -> int:
        """Return what an item speaks for to shoppers of a segment: its taste, if they have none."""
        item = self._items.row_of(item_id)
        return segment if item is None else self._segments.looked_at(segment, item)

    def batch(self, requests: Sequence[RankRequest]) -> Batch:
        """Return the requests of one run, with what their histories say."""
        return Batch(requests, self._items, self._segments, self._rules, self.version)

    def shoppers(self, batch: Batch) -> list[Ranking]:
        """Return what is known of each shopper, without items."""
        return _rankings(batch, [None] * len(batch))

    def rank(self, batch: Batch) -> list[Ranking]:
        """Return each request's items, best first; k of them as long as so many are allowed.

        `listed` is None for a shopper without a graded item that this model knows. Raises
        `ModelsError` where a graph fails.
        """
        if self._ranks is None or not np.count_nonzero(batch.counts):
            return self.shoppers(batch)
        return _rankings(batch, self._ranks.rank(batch))

    def popular(
        self,
        segment: int,
        blocked: Hashes,
        filters: Filters,
        k: int,
        spot: Spot | None = None,
    ) -> Listed:
        """Return what the segment buys, then what everybody buys, without what is not allowed.

        On a `spot` the rules of its page arrange it.
        """
        page = Page.OTHER if spot is None else spot.page
        allowed = self._items.allowed(filters, blocked, page)
        if self._arranges is None or spot is None:
            return self._segments.popular(segment, allowed, k)
        return self._arranges.popular(segment, allowed, k, spot)

    def popular_json(self, segment: int, blocked: Hashes, filters: Filters, k: int) -> bytes:
        """Return `popular` as JSON, where it is shown to nobody in particular."""
        return self.ladder(segment, blocked, filters, k).items

    def ladder(
        self,
        segment: int,
        blocked: Hashes,
        filters: Filters,
        k: int,
        spot: Spot | None = None,
        write: Writer = plain_json,
    ) -> Written:
        """Return `popular` as `write` writes it; what is forbidden to nobody is written once.

        Where chance decides, once for each of a few crowds of shoppers: this must stay cheap.
        """
        spot = self._shared(spot)
        asked = segment, filters, k, spot, write
        if not len(blocked) and (known := self._constant.get(asked)) is not None:
            return known
        listed = None
        if spot is None and len(blocked) and filters == ANY_IN_STOCK:
            listed = self._popular_list(segment).without(blocked, k)
        if listed is None:
            listed = self.popular(segment, blocked, filters, k, spot)
        written = Written(write(self, listed, k), tuple(listed.propensities))
        if not len(blocked):
            if len(self._constant) >= _MOST_CONSTANT:
                self._constant.clear()
            self._constant[asked] = written
        return written

    def _popular_list(self, segment: int) -> PopularList:
        """Return what is popular in a segment, whoever owns it; it is made once."""
        if (known := self._popular.get(segment)) is None:
            listed = self.popular(segment, NO_HASHES, ANY_IN_STOCK, LENGTH)
            known = self._popular[segment] = PopularList(listed, self._json.hashes(listed))
        return known

    def _shared(self, spot: Spot | None) -> Spot | None:
        """Return the spot of a shopper's crowd; None where no rules go by it."""
        if self._rules is None or spot is None:
            return None
        if not self._rules.is_by_chance(spot.page):
            return Spot(spot.page, spot.turn)
        return spot._replace(user_id=f"crowd {stable_hash(spot.user_id) % _CROWDS}")

    def hashes(self, listed: Listed) -> bytes:
        """Return the stable hashes of items, 8 bytes each, little-endian."""
        return self._json.hashes(listed)

    def json(self, listed: Listed) -> bytes:
        """Return items as a JSON array."""
        return self._json.encode(listed)

    def similar(self, index: int, k: int, filters: Filters | None = None) -> Listed:
        """Return the items nearest to the one in row `index`, without itself.

        Where nothing is known of its neighbours, what those buy who like such items.
        """
        allowed = self._items.allowed(filters or Filters(), NO_HASHES)
        allowed[index] = False
        nearest = None if self._personal is None else self._personal.nearest(index, allowed, k)
        return nearest or self._segments.popular(self._segments.of_item(index), allowed, k)

    def bought_together(self, indices: Sequence[int], k: int) -> Listed:
        """Return what shares baskets with the items in these rows, which are in stock.

        Where that is less than k, what is nearest to the first of them, then what is popular.
        """
        allowed = self._items.allowed(Filters(), NO_HASHES)
        allowed[indices] = False
        told = Listed([], [], [])
        if self._companions is not None:
            told = self._companions.of(indices, allowed, k)
        if len(told.rows) < k and self._personal is not None:
            allowed[told.rows] = False
            nearest = self._personal.nearest(indices[0], allowed, k - len(told.rows))
            told = told.then(nearest) if nearest else told
        if len(told.rows) < k:
            allowed[told.rows] = False
            segment = self._segments.of_item(indices[0])
            told = told.then(self._segments.popular(segment, allowed, k - len(told.rows)))
        return told

    def ranker_inputs(self, batch: Batch) -> list[tuple[Rows, Floats] | None]:
        """Return each request's candidates and what the ranker sees of them, or None.

        int64[c] item rows, best by inner product first, and float32[c, ranker features]: training
        reads them here, so that it sees what serving will.
        """
        if self._personal is None or not batch.counts.any():
            return [None] * len(batch)
        return self._personal.ranker_inputs(batch)

    @property
    def has_ranker(self) -> bool:
        """Tell whether candidates are put in order by a ranker."""
        return self._personal is not None and self._personal.has_ranker

    def score(self, features: Floats) -> Floats:
        """Return the ranker's scores float32[n, 1] of float32[n, ranker features].

        Raises `ModelsError` where it fails, or there is none.
        """
        if self._personal is None:
            raise ModelsError(f"{self.version} has no ranker")
        return self._personal.score(features)

    def warm(self) -> None:
        """Run everything at the sizes that come, and measure what a shopper costs.

        Raises `BundleError` where that fails.
        """
        if self._personal is None:
            return
        try:
            if self._personal.has_index:
                firsts = range(0, len(self), max(len(self) // _TIMED_BATCH, 1))
                several = [self._rehearsal(_WARM_EVENTS[1], first) for first in firsts]
                self._personal.choose_retrieval(self.batch(several))
            for events in _WARM_EVENTS:
                for size in (1, _WARM_BATCH):
                    requests = [self._rehearsal(events)] * size
                    started = time.perf_counter()
                    self.rank(self.batch(requests))
                    self.cost_s = (time.perf_counter() - started) / size
                    pause()
        except Exception as error:
            raise BundleError(f"{self.version}: does not rank: {error}") from error

    def _rehearsal(self, events: int, first: int = 0) -> RankRequest:
        """Return a request after a click a millisecond, on one item after the other."""
        rows = (first + np.arange(events)) % len(self)
        records = np.zeros(events, RECORD)
        records["ts"] = np.arange(events)
        records["item"] = stable_hashes(self._items.ids[row] for row in rows.tolist())
        records["tag"] = TYPE_CODES[EventType.CLICK]
        return RankRequest("", records, NO_RECORDS, Moment(events), 10)


def _rankings(batch: Batch, listed: Sequence[Listed | None]) -> list[Ranking]:
    size, used = len(batch), batch.used
    rows = [None] * size if used is None else map(UsedRow, repeat(used), range(size))
    columns = zip(listed, batch.segments.tolist(), batch.blocked(), rows, strict=True)
    return [Ranking(*each) for each in columns]
