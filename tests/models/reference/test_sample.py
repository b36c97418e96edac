"""What was normal: rows as they were known, of shoppers taken whole, and never too many."""

from dataclasses import replace

import numpy as np
import pytest

from features.declared import FEATURE_NAMES, FEATURES
from features.eventlog import NO_RECORDS, EventLog
from features.events import Records
from features.ids import stable_hashes
from features.moments import Moment
from models.model import Model
from models.reference import sample
from models.reference.rows import HOUR_MS, slots_of
from models.reference.sample import WEEKS_MS, sample_rows
from models.reference.scores import FIRST, SCORES
from models.request import RankRequest
from tests.support.behaviour import NOW_MS, as_records, before, reference
from tests.support.bundles import small_parts

MONDAY_MS = 1_759_708_800_000
"""2025-10-06 00:00 UTC."""


def _log(*shoppers: Records, country: str | None = None) -> EventLog:
    ends = np.cumsum([0, *map(len, shoppers)]).astype(np.int64)
    names = tuple(f"u{each}" for each in range(len(shoppers)))
    profiles = {names[0]: {"country": country}} if country else {}
    return EventLog(names, ends, np.concatenate(shoppers), profiles)


def _clicks(count: int, last_ms: int = NOW_MS - 1) -> Records:
    return as_records([(last_ms - HOUR_MS * (count - at), 5, 0, 1) for at in range(count)])


def test_each_row_is_what_was_known_before_an_event() -> None:
    """Features are those of plain Python over the events before, and missing ones are NaN."""
    rows = [(NOW_MS - HOUR_MS * age, age, 900, 4) for age in (40, 30, 20, 3)]
    told = sample_rows(_log(as_records(rows), country="FR"), NOW_MS)
    assert told is not None
    assert told.values["country"].tolist() == ["FR"] * 4
    assert told.slots.tolist() == slots_of(np.array([row[0] for row in rows])).tolist()
    for place, (at_ms, *_) in enumerate(rows):
        moment = Moment(at_ms, profile={"country": "FR"})
        expected = reference(before(rows, at_ms), moment, FEATURES)
        for name, feature, pair in zip(FEATURE_NAMES, FEATURES, expected, strict=True):
            value, missing = pair
            assert np.isnan(told.values[name][place]) == missing, name
            if not missing:
                assert told.values[name][place] == pytest.approx(value, rel=1e-6), feature


def test_what_is_old_or_yet_to_come_is_no_row() -> None:
    """Four weeks up to the moment, no more."""
    rows = [(NOW_MS - WEEKS_MS - 1, 1, 0, 1), (NOW_MS - WEEKS_MS, 1, 0, 1), (NOW_MS, 1, 0, 1)]
    told = sample_rows(_log(as_records(rows)), NOW_MS)
    assert told is not None
    assert len(told) == 1
    assert sample_rows(_log(as_records(rows[:1])), NOW_MS) is None
    assert sample_rows(_log(as_records([])), NOW_MS) is None


def test_shoppers_are_taken_whole_and_robots_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the bound there are all rows of some shoppers, but for who has too many."""
    monkeypatch.setattr(sample, "MOST_ROWS", 60)
    told = sample_rows(_log(*(_clicks(7) for _ in range(30))), NOW_MS)
    assert told is not None
    _, counts = np.unique(told.shoppers, return_counts=True)
    assert set(counts.tolist()) == {7}
    assert 40 <= len(told) <= 60
    monkeypatch.setattr(sample, "MOST_OF_ONE", 20)
    told = sample_rows(_log(_clicks(5), _clicks(50)), NOW_MS)
    assert told is not None
    assert np.bincount(told.shoppers.astype(int)).tolist() == [5, 20]


def test_hours_of_the_week_begin_on_monday() -> None:
    """0 is the hour after Sunday's midnight, in UTC."""
    ages = np.array([-1, 0, HOUR_MS - 1, HOUR_MS, 7 * 24 * HOUR_MS])
    assert slots_of(MONDAY_MS + ages).tolist() == [167, 0, 0, 1, 0]


def test_rows_are_taken_by_mask() -> None:
    """Each column loses the same rows."""
    told = sample_rows(_log(_clicks(4), country="IT"), NOW_MS)
    assert told is not None
    some = told.take(told.slots == told.slots[1])
    assert (len(some), len(some.values["country"])) == (1, 1)
    assert len(replace(told, values={})) == 4


def _tastes(count: int, first: int = 0) -> Records:
    records = _clicks(count)
    records["item"] = stable_hashes(f"wine-{first + at:04d}" for at in range(count))
    return records


@pytest.mark.parametrize("ranked", [True, False])
def test_scores_are_those_of_the_list_that_would_have_been_shown(ranked: bool) -> None:
    """By what was known before each event; NaN where that was nothing."""
    log, model = _log(_tastes(5), _tastes(3, first=8)), Model(small_parts(ranked=ranked))
    told = sample_rows(log, NOW_MS, model)
    assert told is not None
    for row, shopper, at in [(0, 0, 0), (3, 0, 3), (4, 0, 4), (7, 1, 2)]:
        records = log.records[log.offsets[shopper] : log.offsets[shopper] + at]
        moment = Moment(int(log.records["ts"][log.offsets[shopper] + at]))
        batch = model.batch([RankRequest("u", records, NO_RECORDS, moment, FIRST)])
        (ranking,) = model.rank(batch)
        level, spread = (told.values[name][row] for name in SCORES)
        if not at:
            assert ranking.listed is None
            assert np.isnan([level, spread]).all()
        else:
            assert ranking.listed is not None
            scores = ranking.listed.scores
            assert level == pytest.approx(np.mean(scores), rel=1e-5)
            assert spread == pytest.approx(scores[0] - scores[-1], rel=1e-5)


def test_lists_are_scored_of_some_shoppers(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all of their rows, where there are too many; of a model that ranks for nobody none."""
    monkeypatch.setattr(sample, "MOST_SCORED", 10)
    log = _log(*(_tastes(6) for _ in range(5)))
    told = sample_rows(log, NOW_MS, Model(small_parts()))
    assert told is not None
    scored = ~np.isnan(told.values[SCORES[0]]).reshape(5, 6)
    assert scored[:, 1:].all(axis=1).tolist() == [True, False, False, True, False]
    assert not scored[:, 0].any()
    plain = sample_rows(log, NOW_MS, Model(small_parts(personal=False)))
    assert plain is not None
    assert plain.values.keys().isdisjoint(SCORES)
