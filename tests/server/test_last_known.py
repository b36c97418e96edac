"""What is remembered of shoppers for an outage is bounded."""

import numpy as np

from features.ids import NO_HASHES
from server.last_known import UNSEEN, LastKnown, Seen


def test_the_latest_are_held_and_others_let_go() -> None:
    """At least half of what there is room for, never more than that, and each as seen last."""
    known = LastKnown(capacity=20)
    for number in range(100):
        known.remember(str(number), Seen.of(NO_HASHES, "before"))
        known.remember(str(number), Seen.of(NO_HASHES, str(number)))
        held = [each for each in range(100) if known.recall(str(each)) is not UNSEEN]
        assert set(range(max(number - 9, 0), number + 1)) <= set(held)
        assert len(held) <= 20
        assert all(known.recall(str(each)).segment == str(each) for each in held)


def test_what_is_remembered_keeps_nothing_else() -> None:
    """A part of a larger array is copied; of those who own nothing there is one a segment."""
    many = np.arange(1_000, dtype=np.uint64)
    kept = Seen.of(many[3:5], "a")
    assert kept.blocked.base is None
    assert kept.blocked.tolist() == [3, 4]
    assert Seen.of(many[:0], "a") is Seen.of(NO_HASHES, "a")


def test_a_forgotten_shopper_is_unseen() -> None:
    """Forgetting leaves nothing; forgetting a stranger is nothing."""
    known = LastKnown()
    known.remember("a", Seen(segment="x"))
    known.forget("a")
    known.forget("stranger")
    assert known.recall("a") is UNSEEN
