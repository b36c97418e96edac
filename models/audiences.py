"""Those of whom little is known, and items of which nothing is: splits of their own.

cold       met one to four items
newcomers  met nothing: where they live and the hour is all there is
rolling    newcomers of most of the past, tenth by tenth: `models.rolling`
on a page  strangers who look at an item: shoppers with a history, without it
anonymous  what a session's last clicks were, and no name: the same shoppers
new items  what shoppers with a history wanted of the items that nobody had met
"""

from dataclasses import replace

import numpy as np

from features.catalogue import Catalogue
from features.eventlog import EventLog
from features.events import CODE_MASK, TYPE_CODES, EventType, Records
from features.history import GRADES, grades_of
from features.ids import Hashes, stable_hashes
from models.dataset import Interactions, interactions
from models.item_table import ItemTable
from models.items import Items
from models.split import LEAST_HISTORY, Split, temporal_split

COLD = "cold"
NEWCOMERS = "newcomers"
ROLLING = "rolling_newcomers"
ON_A_PAGE = "on_a_page"
ANONYMOUS = "anonymous"
NEW_ITEMS = "new_items"
ONLY_NEW = "only_new_items"

SESSION_MS = 1_800_000
"""So long before the last of them do clicks belong to one session."""

CLICKS = 5
"""Latest clicks of a session that a page tells."""

_ONE_IN = 10
"""As many items are taken for new: too few are really."""

_NOTHING = np.empty(0, np.int64)


def cold(log: EventLog, catalogue: Catalogue, cut_ms: int, end_ms: int) -> Split:
    """Return the split of those who had met few items."""
    return temporal_split(log, catalogue, cut_ms, end_ms, (1, LEAST_HISTORY - 1))


def newcomers(log: EventLog, catalogue: Catalogue, cut_ms: int, end_ms: int) -> Split:
    """Return the split of those who had met no item."""
    return temporal_split(log, catalogue, cut_ms, end_ms, (0, 0))


def on_a_page(split: Split, catalogue: Catalogue) -> Split:
    """Return the split of the same shoppers as strangers on the page of what they met last.

    That item is all there is, and is not shown; others than the model take it for a click.
    """
    items = Items(ItemTable.of(catalogue))
    looked = [_met_last(split.past.of(user), items) for user in split.users.tolist()]
    asked = zip(split.wanted, looked, strict=True)
    wanted = [want[want != item] for want, item in asked]
    there = np.array([place for place, each in enumerate(wanted) if len(each)], np.int64)
    pages, users = np.array(looked, np.int64)[there], np.arange(len(there))
    offsets = np.zeros(len(there) + 1, np.int64)
    clicks = np.full(len(there), GRADES[TYPE_CODES[EventType.CLICK]])
    at_ms = np.full(len(there), split.cut_ms)
    return replace(
        split.some(there),
        past=EventLog(("",) * len(there), offsets, split.past.records[:0]),
        met=Interactions(users, pages, clicks, at_ms, len(there), len(catalogue)),
        users=users,
        blocked=tuple(pages[:, None]),
        wanted=tuple(wanted[place] for place in there.tolist()),
        pages=pages,
    )


def anonymous(split: Split, catalogue: Catalogue) -> Split:
    """Return the split of the same shoppers when only the last clicks of a session are known.

    Whatever they did is told as a click, under no name and from nowhere.
    """
    clicks = [_clicks(split.past.of(user)) for user in split.users.tolist()]
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum([len(each) for each in clicks])))
    records = np.concatenate(clicks) if clicks else split.past.records[:0]
    past = EventLog(("",) * len(clicks), offsets, records)
    return replace(
        split,
        past=past,
        met=interactions(past, catalogue),
        users=np.arange(len(clicks)),
        blocked=(_NOTHING,) * len(clicks),
    )


def taken_for_new(catalogue: Catalogue) -> Hashes:
    """Return one item in ten: those whose past is taken away."""
    hashes: Hashes = stable_hashes(catalogue.item_ids)
    taken: Hashes = hashes[hashes % _ONE_IN == 0]
    return taken


def new_items(split: Split) -> Split:
    """Return the split of those who wanted an item that nobody had met, and of these items."""
    is_new = split.known.met() == 0
    wanted = [each[is_new[each]] for each in split.wanted]
    there = np.array([place for place, each in enumerate(wanted) if len(each)], np.int64)
    return replace(split.some(there), wanted=tuple(wanted[place] for place in there.tolist()))


def only_new(split: Split, catalogue: Catalogue) -> Split:
    """Return the split when nothing but the items that nobody had met may be shown."""
    (old,) = np.nonzero(split.known.met())
    hashes = stable_hashes(catalogue.item_ids)
    blocked = tuple(np.union1d(each, old) for each in split.blocked)
    return replace(split, blocked=blocked, closed=hashes[old])


def _met_last(records: Records, items: Items) -> int:
    """Return the row of the item that the last graded of time-sorted events is of."""
    rows = items.rows_of(records["item"][grades_of(records) > 0])
    return int(rows[rows >= 0][-1])


def _clicks(records: Records) -> Records:
    """Return the last clicks of the last session among time-sorted events."""
    graded = records[grades_of(records) > 0]
    session = graded[graded["ts"] > graded["ts"][-1] - SESSION_MS] if len(graded) else graded
    clicks = session[-CLICKS:].copy()
    clicks["tag"] = (clicks["tag"] & ~np.uint32(CODE_MASK)) | TYPE_CODES[EventType.CLICK]
    return clicks
