"""What is remembered of shoppers for an outage is bounded."""

import numpy as np

from server.last_known import UNSEEN, LastKnown, Seen


def test_the_least_recent_is_let_go() -> None:
    """Of three shoppers with room for two, the one ranked longest ago is forgotten."""
    known = LastKnown(capacity=2)
    seen = {name: Seen(np.array([1], np.uint64), name) for name in "abc"}
    for name in "aba":
        known.remember(name, seen[name])
    known.remember("c", seen["c"])
    assert known.recall("a") is seen["a"]
    assert known.recall("b") is UNSEEN
    assert known.recall("c") is seen["c"]


def test_a_forgotten_shopper_is_unseen() -> None:
    """Forgetting leaves nothing; forgetting a stranger is nothing."""
    known = LastKnown()
    known.remember("a", Seen(segment="x"))
    known.forget("a")
    known.forget("stranger")
    assert known.recall("a") is UNSEEN
