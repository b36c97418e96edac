"""Tastes, chosen by measurement, and markets."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from features.catalogue import Catalogue
from features.events import EventType
from features.ids import stable_hash
from models.dataset import interactions
from models.segments import (
    MOST_PAIRED,
    PRIOR,
    attributes_of,
    group_popularity,
    likings,
    make_segments,
    measure_tastes,
    members,
    shares,
    tastes,
    text_attributes,
)
from models.split import temporal_split
from tests.support.histories import DAY_MS, Happened, log_of, tasteful, wines

CATALOGUE = wines(60)
NOW_MS = 19_365 * DAY_MS


def test_the_attribute_that_tells_tastes_is_chosen() -> None:
    """Shoppers buy by category, so category wins over cork, and over plain popularity."""
    split = temporal_split(tasteful(), CATALOGUE, 19_270 * DAY_MS, NOW_MS)
    chosen, measured = measure_tastes(CATALOGUE, split)
    assert chosen is not None
    assert chosen.title.startswith("category")
    assert measured["category"] > 1.5 * measured[""]
    assert measured["cork"] < measured["category"]


def test_of_many_attributes_only_the_best_are_paired() -> None:
    """Pairs of forty are eight hundred: they took longer than all else that training does."""
    random = np.random.default_rng(0)
    chance = {f"chance {number:02d}": random.integers(0, 3, 60).astype(str) for number in range(38)}
    catalogue = replace(CATALOGUE, attributes={**CATALOGUE.attributes, **chance})
    split = temporal_split(tasteful(), catalogue, 19_270 * DAY_MS, NOW_MS)
    chosen, measured = measure_tastes(catalogue, split)
    alone = sorted(
        (title for title in measured if title and "," not in title), key=measured.__getitem__
    )
    paired = [title.split(",") for title in measured if "," in title]
    first, *best = alone[::-1][:MOST_PAIRED]
    assert len(alone) == 40
    assert sum(first in pair for pair in paired) == 39
    others = {one for pair in paired if first not in pair for one in pair}
    assert {measured[title] for title in others} == {measured[title] for title in best}
    assert len(measured) == 1 + 40 + 39 + (MOST_PAIRED - 1) * (MOST_PAIRED - 2) // 2
    assert chosen is not None
    assert "category" in chosen.title


def test_one_attribute_in_many_languages_leaves_pairs_to_others() -> None:
    """What tells little alone may tell most beside the best one."""
    words = {
        f"kind {n}": np.char.add(f"{n} ", CATALOGUE.category.astype(np.str_))
        for n in range(MOST_PAIRED)
    }
    catalogue = replace(CATALOGUE, attributes={**CATALOGUE.attributes, **words})
    split = temporal_split(tasteful(), catalogue, 19_270 * DAY_MS, NOW_MS)
    _, measured = measure_tastes(catalogue, split)
    assert "category,cork" in measured


def test_a_long_description_costs_what_it_is_long() -> None:
    """Not that for each item: one of a feed took gigabytes."""
    notes = np.array([f"note {row % 7}" for row in range(2_000)], object)
    notes[[3, 5]] = "x" * 20_000, ""
    blank = np.full(2_000, "Red")
    catalogue = Catalogue(
        tuple(f"wine-{row}" for row in range(2_000)),
        blank,
        np.ones(2_000, np.float32),
        np.ones(2_000, np.bool_),
        {"notes": notes},
    )
    tracemalloc.start()
    category, told = text_attributes(catalogue)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000
    assert (category.names, category.codes.tolist()) == (("category=Red",), [0] * 2_000)
    assert told.names == (*(f"notes=note {n}" for n in range(7)), f"notes={notes[3]}")
    assert told.codes[:8].tolist() == [0, 1, 2, 7, 4, -1, 6, 0]


def test_a_catalogue_without_attributes_has_everybody_only() -> None:
    """One category and nothing else: no taste, one row, and markets where shoppers live."""
    bare = replace(CATALOGUE, category=np.full(60, ""), attributes={})
    log = tasteful()
    chosen, _ = measure_tastes(bare, temporal_split(log, bare, 19_270 * DAY_MS, NOW_MS))
    assert chosen is None
    segments = make_segments(log, chosen, interactions(log, bare), NOW_MS)
    assert segments.names == ("global", "market=FR", "market=IT")
    assert len(segments.shoppers) == 0
    assert not segments.item_rows.any()


def test_a_taste_is_what_most_grades_speak_for() -> None:
    """Two reds outweigh a white; whoever bought nothing has no taste."""
    log = log_of([Happened(0, 0, 1), Happened(0, 4, 2), Happened(0, 1, 3)], 2, CATALOGUE)
    (category,) = (each for each in attributes_of(CATALOGUE) if each.title == "category")
    chosen = tastes(likings(category, interactions(log, CATALOGUE)))
    assert category.names[chosen[0]] == "category=Red"
    assert chosen[1] == -1


def test_a_shopper_counts_in_each_taste_by_its_square() -> None:
    """Two reds and a white: four fifths red, one fifth white; who has no taste counts nowhere."""
    log = log_of([Happened(0, 0, 1), Happened(0, 4, 2), Happened(0, 1, 3)], 2, CATALOGUE)
    (category,) = (each for each in attributes_of(CATALOGUE) if each.title == "category")
    told = shares(likings(category, interactions(log, CATALOGUE))).toarray()
    by_name = dict(zip(category.names, told[0].tolist(), strict=True))
    assert by_name["category=Red"] == pytest.approx(0.8)
    assert by_name["category=White"] == pytest.approx(0.2)
    assert not told[1].any()


def test_small_groups_lean_on_everybody() -> None:
    """A group's weight for an item is its own plus the prior's share of everybody's."""
    log = log_of([Happened(0, 0, 19_365), Happened(1, 1, 19_365)], 2, CATALOGUE)
    membership = members(np.array([0, -1], np.int32), 1)
    told = group_popularity(interactions(log, CATALOGUE), membership, NOW_MS)
    np.testing.assert_allclose(told[0, :3], [1 + PRIOR / 2, PRIOR / 2, 0])


def test_the_table_finds_every_shopper() -> None:
    """Hashes are sorted, each with the row of the shopper's taste."""
    log = tasteful()
    (category,) = (each for each in attributes_of(CATALOGUE) if each.title == "category")
    segments = make_segments(log, category, interactions(log, CATALOGUE), NOW_MS)
    assert (np.diff(segments.shoppers.astype(object)) > 0).all()
    place = int(np.searchsorted(segments.shoppers, np.uint64(stable_hash("shopper-0005"))))
    assert segments.names[segments.shopper_rows[place]] == "category=White"
    assert segments.popularity.shape == (len(segments.names), 60)
    assert segments.names[segments.item_rows[0]] == "category=Red"
    assert (segments.popularity >= 0).all()


def test_who_rated_low_has_no_taste_for_it() -> None:
    """What they rated counts where it is learnt what a taste buys, and is no taste of theirs."""
    low = Happened(0, 0, 1, EventType.RATING, 2.0)
    log = log_of([low, Happened(1, 0, 1), Happened(1, 4, 2)], 2, CATALOGUE)
    (category,) = (each for each in attributes_of(CATALOGUE) if each.title == "category")
    segments = make_segments(log, category, interactions(log, CATALOGUE), 3 * DAY_MS)
    assert segments.shoppers.tolist() == [stable_hash(log.user_ids[1])]
    assert [segments.names[row] for row in segments.shopper_rows] == ["category=Red"]
    wanted = segments.popularity[segments.shopper_rows[0]]
    assert wanted[0] > wanted[4] > 1
