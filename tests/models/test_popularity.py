"""Popularity that fades."""

import numpy as np

from features.events import EventType
from models.dataset import interactions
from models.popularity import popularity
from tests.support.histories import DAY_MS, Happened, log_of, wines

NOW_MS = 1_000 * DAY_MS


def test_a_half_life_halves() -> None:
    """What was bought a half-life ago counts half of what is bought now."""
    catalogue = wines(4)
    log = log_of([Happened(0, 0, 1_000), Happened(0, 1, 820), Happened(1, 1, 640)], 2, catalogue)
    told = popularity(interactions(log, catalogue), NOW_MS, 180)
    np.testing.assert_allclose(told, [1, 0.75, 0, 0], rtol=1e-6)
    assert told.dtype == np.float32


def test_grades_count() -> None:
    """A click says less than a purchase, few stars hardly anything."""
    catalogue = wines(3)
    happened = [
        Happened(0, 0, 1_000),
        Happened(0, 1, 1_000, EventType.CLICK),
        Happened(0, 2, 1_000, EventType.RATING, 1.5),
    ]
    told = popularity(interactions(log_of(happened, 1, catalogue), catalogue), NOW_MS)
    np.testing.assert_allclose(told, [1, 0.3, 0.1], rtol=1e-6)


def test_nobody_wants_anything_of_an_empty_log() -> None:
    """No events are no popularity, not an error."""
    catalogue = wines(3)
    told = popularity(interactions(log_of([], 0, catalogue), catalogue), NOW_MS)
    np.testing.assert_array_equal(told, np.zeros(3))
