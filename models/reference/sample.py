"""A sample of what was known of shoppers as they came, in the last weeks before a moment.

    events of four weeks ─ every k-th shopper, with all of theirs ─ the features just before each
    ─ of some shoppers the scores of the lists that the model would have shown them then

Shoppers are taken whole, so that it can be told how alike the rows of one of them are.
"""

from collections.abc import Sequence

import numpy as np

from features.computation.point_in_time import PointInTime, known_at
from features.declared import FEATURE_NAMES
from features.eventlog import NO_RECORDS, EventLog
from features.moments import Moment
from models.dataset import past_of
from models.metrics import K
from models.model import Model
from models.parts import Floats
from models.parts import Rows as Numbers
from models.reference.rows import HOUR_MS, Rows, slots_of
from models.reference.scores import columns, summary
from models.request import RankRequest

MOST_ROWS = 50_000
"""Enough for some two thousand in each hour of the day."""

MOST_SCORED = 20_000
"""Rows of which a list is scored: that takes up to a millisecond each."""

_BATCH = 256

MOST_OF_ONE = 100
"""Rows of one shopper, their last: a robot is no crowd."""

WEEKS_MS = 28 * 24 * HOUR_MS

COUNTRY = "country"
"""The one column of words: where a shopper is, or else lives."""


def sample_rows(log: EventLog, at_ms: int, model: Model | None = None) -> Rows | None:
    """Return at most `MOST_ROWS` rows before a moment, None where nobody came in four weeks.

    With a model that ranks for shoppers `SCORES` stand beside the features, NaN where it had
    nothing to rank by, or beyond `MOST_SCORED`.
    """
    events = _events(log, at_ms)
    if not len(events):
        return None
    shoppers = np.searchsorted(log.offsets, events, side="right") - 1
    at = log.records["ts"][events].astype(np.int64)
    users, moments = shoppers.tolist(), at.tolist()
    profiles = [log.profiles.get(log.user_ids[each]) for each in users]
    told = [
        Moment(moment, profile=profile) for moment, profile in zip(moments, profiles, strict=True)
    ]
    past = past_of(log, np.unique(shoppers), at_ms)  # of the sampled alone: others are most
    known = known_at(past, shoppers, told)
    vectors = known.vectors()
    numbers = np.where(vectors.missing, np.nan, vectors.values.astype(np.float64))
    values = dict(zip(FEATURE_NAMES, numbers.T, strict=True))
    homes = np.array([None if each.home is None else str(each.home) for each in told], object)
    scores = {}
    if model is not None and model.is_personal:
        scores = _scores(model, known, shoppers, told)
    return Rows(shoppers.astype(np.uint64), slots_of(at), {**values, **scores, COUNTRY: homes})


def _scores(
    model: Model, known: PointInTime, shoppers: Numbers, moments: Sequence[Moment]
) -> dict[str, Floats]:
    """Return the columns of scores, of every k-th shopper with all their rows."""
    _, number = np.unique(shoppers, return_inverse=True)
    step = -(-len(shoppers) // MOST_SCORED)
    chosen = np.flatnonzero(number % step == 0)
    told: list[tuple[float, float] | None] = [None] * len(shoppers)
    for start in range(0, len(chosen), _BATCH):
        rows = chosen[start : start + _BATCH].tolist()
        batch = model.batch(
            [RankRequest("", known.of(row), NO_RECORDS, moments[row], K) for row in rows]
        )
        model.rank(batch)
        for place, row in enumerate(rows):
            scores = batch.scores_of(place)
            told[row] = None if scores is None else summary(scores)
    return columns(told)


def _events(log: EventLog, at_ms: int) -> Numbers:
    """Return the places of the events before which to look, each shopper's together."""
    ts = log.records["ts"]
    recent = np.flatnonzero((ts >= at_ms - WEEKS_MS) & (ts < at_ms))
    ends = np.searchsorted(recent, log.offsets[1:])
    counts = np.diff(np.concatenate(([0], ends)))
    first = ends - np.minimum(counts, MOST_OF_ONE)
    there = np.flatnonzero(counts)
    total = int((ends - first).sum())
    step = max(1, -(-total // MOST_ROWS))
    chosen = there[::step]
    kept = np.cumsum((ends - first)[chosen]) <= MOST_ROWS
    places = [recent[first[each] : ends[each]] for each in chosen[kept].tolist()]
    return np.concatenate(places) if places else np.empty(0, np.int64)
