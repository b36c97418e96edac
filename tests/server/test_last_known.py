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


def test_what_is_hidden_is_added_once() -> None:
    """To what was seen, whose segment stays; of who was never seen it is all that is known."""
    known = LastKnown()
    known.remember("a", Seen(np.array([1, 2], np.uint64), "x"))
    known.hide("a", [2, 3, 3])
    known.hide("b", [4])
    seen, other = known.recall("a"), known.recall("b")
    assert sorted(seen.blocked.tolist()) == [1, 2, 3]
    assert seen.blocked.dtype.str == "<u8"
    assert seen.segment == "x"
    assert (other.blocked.tolist(), other.segment) == ([4], None)
    known.hide("c", [])
    assert known.recall("c") is UNSEEN


def test_who_is_merged_is_known_as_the_other() -> None:
    """By what must not be shown; their own segment stays."""
    known = LastKnown()
    known.remember("session", Seen(np.array([1], np.uint64), "x"))
    known.remember("a", Seen(np.array([2], np.uint64), "y"))
    known.merge("session", "a")
    assert sorted(known.recall("a").blocked.tolist()) == [1, 2]
    assert known.recall("a").segment == "y"
    assert known.recall("session") is UNSEEN
