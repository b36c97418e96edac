"""Whether a model trained anew is at least as good as the one that serves.

    learnt before the test period ─┐
                                   ├─ lists for the same shoppers ─ NDCG@10, paired ─ 95 % interval
    the model that serves, as it is┘

What is trained anew cannot be asked of a time that it learnt from: judged is what its recipe
makes of the time before, as everywhere (`models.training`). Nor can the model that serves: where
its data end within the test period, only what was wanted behind that judges; that it learnt from
later than the other speaks for it. Non-inferiority as in Piaggio et al., JAMA 2012: the whole
interval lies above what may be lost.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from features.catalogue import Catalogue
from features.ids import stable_hashes
from models.bootstrap import mean_interval
from models.errors import ModelsError
from models.item_table import ItemTable
from models.items import Items
from models.metrics import Doubles, quality
from models.model import Model
from models.parts import Parts, Rows
from models.replay import popular_lists, ranked_lists
from models.split import Split, temporal_split
from models.timeline import NOW, TEST, Timeline
from models.validated import LEAST_JUDGED, MARGIN, Validation


@dataclass(frozen=True, slots=True)
class Against:
    """The model that a new one is measured against.

    Of its NDCG@10 at most the share `margin` may be lost. What was wanted before its data ended
    does not count, nor in the last `mature_ms` before the newest event: more is still to come.
    """

    model: Model
    margin: float = MARGIN
    mature_ms: int = 0


def validate(timeline: Timeline, parts: Parts | None, against: Against) -> Validation:
    """Return how `parts`, learnt before the test period, do beside the model that serves.

    None stands for parts that could not be learnt: then nothing can be said.
    """
    cut_ms = max(timeline.moment(TEST), against.model.learnt_until_ms)
    end_ms = timeline.moment(NOW) - against.mature_ms
    split = _between(timeline, cut_ms, end_ms)
    users = 0 if split is None else len(split)
    span = _iso(cut_ms), _iso(max(end_ms, cut_ms))
    told = Validation(against.model.version, users, *span, against.margin)
    if split is None or parts is None or users < LEAST_JUDGED:
        return told
    ours = _by_user(ranked_lists(Model(parts), split), split)
    theirs = _by_user(_lists_of(against.model, split, timeline.catalogue), split)
    low, high = mean_interval(ours - theirs)
    return Validation(
        told.incumbent,
        users,
        *span,
        against.margin,
        theirs=round(float(theirs.mean()), 5),
        ours=round(float(ours.mean()), 5),
        gain=round(float((ours - theirs).mean()), 5),
        low=low,
        high=high,
    )


def _between(timeline: Timeline, cut_ms: int, end_ms: int) -> Split | None:
    """Return the shoppers by what they wanted from `cut_ms` to `end_ms`, None where that is none.

    The test period as a whole is there already.
    """
    if (cut_ms, end_ms) == (timeline.moment(TEST), timeline.moment(NOW)):
        return timeline.split(TEST)
    if end_ms <= cut_ms:
        return None
    return temporal_split(timeline.log, timeline.catalogue, cut_ms, end_ms)


def _by_user(lists: list[Rows], split: Split) -> Doubles:
    """Return NDCG@10 of each shopper; a row behind the last is an item that nobody wants."""
    return quality(lists, split.wanted, np.append(split.known.met(), 0)).by_user


def _lists_of(model: Model, split: Split, catalogue: Catalogue) -> list[Rows]:
    """Return what a model shows, in rows of the catalogue: its own items may be others."""
    try:
        lists = ranked_lists(model, split)
    except ModelsError:  # it is served so, too
        lists = popular_lists(model, split)
    ids = [model.item_id(row) for row in range(len(model))]
    rows = Items(ItemTable.of(catalogue)).rows_of(stable_hashes(ids))
    rows[rows < 0] = len(catalogue)
    return [rows[each] for each in lists]


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat()
