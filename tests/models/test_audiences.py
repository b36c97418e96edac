"""Splits of those of whom little is known, and of items of which nothing is."""

import numpy as np

from features.events import TYPE_CODES, EventType, type_codes
from features.ids import stable_hashes
from models.audiences import (
    CLICKS,
    anonymous,
    cold,
    new_items,
    newcomers,
    on_a_page,
    only_new,
    taken_for_new,
)
from models.choices import Choices
from models.evaluate import MODEL, POPULARITY, evaluate
from models.fit import fit
from models.metrics import difference
from models.model import Model
from models.replay import popular_lists, ranked_lists, segments_of
from models.segments import attributes_of
from models.split import Split, temporal_split
from tests.support.histories import DAY_MS, Happened, log_of, tasteful, wines

CATALOGUE = wines(60)
CUT_MS, END_MS = 19_270 * DAY_MS, 19_366 * DAY_MS
HOUR = 1 / 24


def test_audiences_by_history_do_not_overlap() -> None:
    """Five items or more, one to four, none."""
    happened = [Happened(0, item, 1.0 + item) for item in range(5)]
    happened += [Happened(1, item, 1.0 + item) for item in range(4)]
    happened += [Happened(shopper, 9, 20) for shopper in range(3)]
    log = log_of(happened, 3, CATALOGUE)
    span = 15 * DAY_MS, 25 * DAY_MS
    assert temporal_split(log, CATALOGUE, *span).users.tolist() == [0]
    assert cold(log, CATALOGUE, *span).users.tolist() == [1]
    assert newcomers(log, CATALOGUE, *span).users.tolist() == [2]


def test_of_the_anonymous_a_sessions_last_clicks_are_all_that_is_known() -> None:
    """No name, no home, no purchase, nothing of earlier visits; the cut and the wanted stay."""
    happened = [Happened(0, item, 1.0 + item) for item in range(5)]
    session = [10 + 0.001 * HOUR * number for number in range(7)]
    happened += [Happened(0, 20 + number, day) for number, day in enumerate(session)]
    happened += [Happened(0, 9, 20)]
    split = temporal_split(log_of(happened, 1, CATALOGUE), CATALOGUE, 15 * DAY_MS, 25 * DAY_MS)
    asked = anonymous(split, CATALOGUE)
    clicks = asked.past.of(0)
    assert asked.past.user_ids == ("",)
    assert not asked.past.profiles
    assert clicks["item"].tolist() == stable_hashes(CATALOGUE.item_ids)[27 - CLICKS : 27].tolist()
    assert set(type_codes(clicks).tolist()) == {TYPE_CODES[EventType.CLICK]}
    assert asked.histories().sum() == np.float32(0.3) * CLICKS
    assert [each.tolist() for each in asked.blocked] == [[]]
    assert asked.wanted == split.wanted
    assert asked.known is split.known


def test_anonymous_sessions_are_ranked_for() -> None:
    """With a click or two the model shows other than what everybody buys."""
    split = temporal_split(tasteful(), CATALOGUE, CUT_MS, END_MS)
    model = Model(fit(split.past, split.known, CATALOGUE, Choices(), CUT_MS))
    asked = anonymous(split, CATALOGUE)
    ranked, popular = ranked_lists(model, asked), popular_lists(model, asked)
    assert len(ranked) == len(split)
    assert any(not np.array_equal(*each) for each in zip(ranked, popular, strict=True))


def test_of_strangers_on_a_page_the_item_is_all_that_is_known() -> None:
    """What they met last; who wanted nothing else is not asked for."""
    happened = [Happened(shopper, item, 1.0 + item) for shopper in (0, 1) for item in range(6)]
    happened += [Happened(0, 7, 8, EventType.CLICK), Happened(1, 8, 8, EventType.CLICK)]
    happened += [Happened(0, 9, 20), Happened(0, 7, 21), Happened(1, 8, 22)]
    split = temporal_split(log_of(happened, 2, CATALOGUE), CATALOGUE, 15 * DAY_MS, 25 * DAY_MS)
    assert [each.tolist() for each in split.wanted] == [[7, 9], [8]]
    asked = on_a_page(split, CATALOGUE)
    assert asked.pages is not None
    assert asked.pages.tolist() == [7]
    assert [each.tolist() for each in asked.wanted] == [[9]]
    assert (asked.past.user_ids, len(asked.past.records)) == (("",), 0)
    assert not asked.past.profiles
    np.testing.assert_array_equal(asked.histories().toarray().nonzero()[1], [7])
    assert len(asked.some(np.empty(0, np.int64))) == 0
    assert asked.known is split.known


def test_strangers_on_a_page_are_shown_what_its_taste_buys() -> None:
    """Without the item itself, and better than what everybody buys."""
    split = temporal_split(tasteful(), CATALOGUE, CUT_MS, END_MS)
    (category,) = (each for each in attributes_of(CATALOGUE) if each.title == "category")
    parts = fit(split.past, split.known, CATALOGUE, Choices(taste=category), CUT_MS)
    asked, model = on_a_page(split, CATALOGUE), Model(parts)
    assert asked.pages is not None
    shown = ranked_lists(model, asked)
    for page, rows, name in zip(asked.pages, shown, segments_of(model, asked), strict=True):
        assert name == f"category={CATALOGUE.category[page]}"
        assert page not in rows
        best = np.argsort(-parts.segments.popularity[1 + category.codes[page]], kind="stable")
        np.testing.assert_array_equal(rows, best[best != page][:10])
    figures = evaluate(parts, asked)
    gain, error = difference(figures.by_name[MODEL], figures.by_name[POPULARITY])
    assert gain > 3 * error


def _where_some_are_new() -> Split:
    return temporal_split(tasteful(), CATALOGUE, CUT_MS, END_MS, gone=taken_for_new(CATALOGUE))


def test_items_without_a_past_were_met_by_nobody() -> None:
    """One in ten loses its past, and nothing of what came after."""
    whole, split = temporal_split(tasteful(), CATALOGUE, CUT_MS, END_MS), _where_some_are_new()
    taken = stable_hashes(CATALOGUE.item_ids) % 10 == 0
    assert 0 < taken.sum() < len(CATALOGUE) / 4
    assert not split.known.met()[taken].any()
    np.testing.assert_array_equal(split.known.met()[~taken], whole.known.met()[~taken])
    asked = new_items(split)
    assert 0 < len(asked) < len(split)
    for wanted in asked.wanted:
        assert len(wanted)
        assert taken[wanted].all()


def test_only_new_items_can_be_asked_for() -> None:
    """Lists hold nothing but items that nobody met, ranked and popular ones alike."""
    split = _where_some_are_new()
    asked = only_new(new_items(split), CATALOGUE)
    model = Model(fit(split.past, split.known, CATALOGUE, Choices(), CUT_MS))
    for lists in (ranked_lists(model, asked), popular_lists(model, asked)):
        assert all(len(rows) and not split.known.met()[rows].any() for rows in lists)
