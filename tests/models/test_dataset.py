"""Pairs of shopper and item."""

import numpy as np

from features.events import EventType
from models.dataset import actions, between, interactions, moment_of
from tests.support.histories import DAY_MS, Happened, log_of, wines

CATALOGUE = wines(5)


def test_a_pair_counts_once_with_its_best_grade() -> None:
    """Clicked, then bought: one pair, at the time of the purchase."""
    happened = [Happened(0, 2, 10, EventType.CLICK), Happened(0, 2, 20), Happened(0, 2, 30)]
    pairs = interactions(log_of(happened, 1, CATALOGUE), CATALOGUE)
    assert (pairs.items.tolist(), pairs.grades.tolist()) == ([2], [1.0])
    assert pairs.ts.tolist() == [20 * DAY_MS]


def test_a_refused_item_is_no_pair() -> None:
    """Not interested overrules a click, before or after; others keep theirs."""
    happened = [
        Happened(0, 2, 10, EventType.CLICK),
        Happened(0, 2, 20, EventType.NOT_INTERESTED),
        Happened(1, 2, 5, EventType.CLICK),
    ]
    pairs = interactions(log_of(happened, 2, CATALOGUE), CATALOGUE)
    assert pairs.users.tolist() == [1]


def test_items_that_left_the_catalogue_are_ignored() -> None:
    """An event about an unknown item is no pair."""
    log = log_of([Happened(0, 4, 10), Happened(0, 1, 11)], 1, CATALOGUE)
    assert interactions(log, wines(3)).items.tolist() == [1]


def test_a_part_of_a_log_keeps_its_shoppers() -> None:
    """The start is inside, the end is not, and numbers of shoppers stay what they were."""
    happened = [Happened(0, 0, 1), Happened(0, 1, 2), Happened(2, 2, 3), Happened(2, 3, 4)]
    part = between(log_of(happened, 3, CATALOGUE), 2 * DAY_MS, 4 * DAY_MS)
    assert [len(part.of(user)) for user in range(3)] == [1, 0, 1]
    assert interactions(part, CATALOGUE).items.tolist() == [1, 2]


def test_impressions_are_no_actions() -> None:
    """What was only shown is left out."""
    happened = [Happened(0, 0, 1, EventType.IMPRESSION), Happened(0, 1, 2)]
    assert len(actions(log_of(happened, 1, CATALOGUE)).records) == 1


def test_moments_divide_the_pairs() -> None:
    """So large a share of the pairs lies before a moment."""
    log = log_of([Happened(0, item, item) for item in range(5)], 1, CATALOGUE)
    pairs = interactions(log, CATALOGUE)
    assert np.mean(pairs.ts < moment_of(pairs, 0.6)) == 0.6


def test_what_each_shopper_met_first_is_told_in_time() -> None:
    """Two of three, one of one, and of none nothing; pairs keep their order."""
    happened = [Happened(0, 4, 1), Happened(0, 2, 3), Happened(0, 3, 2), Happened(2, 1, 7)]
    pairs = interactions(log_of(happened, 3, CATALOGUE), CATALOGUE)
    told = pairs.firsts(2)
    assert list(zip(told.users.tolist(), told.items.tolist(), strict=True)) == [
        (0, 3),
        (0, 4),
        (2, 1),
    ]
    assert len(pairs.firsts(3)) == len(pairs)
