"""What is remembered of shoppers for an outage is bounded."""

import numpy as np

from features.ids import NO_HASHES
from server.last_known import MOST_SINCE, UNSEEN, LastKnown, Seen


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
    known.hide("a", [3, 4, 3])
    known.hide("a", [4])
    known.hide("b", [4])
    seen, other = known.recall("a"), known.recall("b")
    assert seen.hidden.tolist() == [1, 2, 3, 4]
    assert seen.hidden.dtype.str == "<u8"
    assert seen.segment == "x"
    assert (other.hidden.tolist(), other.segment) == ([4], None)


def test_who_does_much_and_never_asks_takes_no_more_room() -> None:
    """The latest of it is hidden, and what was theirs at the last list."""
    known = LastKnown()
    known.remember("bot", Seen(np.array([1], np.uint64)))
    for number in range(2, 5 * MOST_SINCE):
        known.hide("bot", [number])
        known.hide("session", [number])
        known.share("session", "bot")
    told = known.recall("bot").hidden.tolist()
    assert told == [1, *range(4 * MOST_SINCE, 5 * MOST_SINCE)]
    known.remember("session", Seen(np.arange(10**6, dtype=np.uint64)))
    known.share("session", "bot")
    assert len(known.recall("bot").hidden) < 1_000
    assert 1 in known.recall("bot").hidden


def test_who_logs_in_is_kept_from_what_the_session_was() -> None:
    """Their own segment stays, if they have one; of a session that is not known nothing comes."""
    known = LastKnown()
    known.remember("session", Seen(np.array([1], np.uint64), "x", (3,)))
    known.remember("a", Seen(np.array([2], np.uint64), "y", (4,)))
    known.share("session", "a")
    known.share("session", "b")
    assert sorted(known.recall("a").hidden.tolist()) == [1, 2, 3, 4]
    assert (known.recall("a").segment, known.recall("b").segment) == ("y", "x")
    assert known.recall("b").hidden.tolist() == [1, 3]
    known.share("stranger", "c")
    assert known.recall("c") is UNSEEN
