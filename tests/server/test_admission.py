"""Admission: in full, or from the ladder."""

from itertools import pairwise

from server.admission import FEWEST, FIRST, Admission, ConcurrencyLimiter


def test_what_a_request_may_cost_falls_with_load() -> None:
    """Two in full, all others from the ladder, until places are given back."""
    gate = ConcurrencyLimiter(max_inflight=2, target_s=0.05)
    got = [gate.enter() for _ in range(4)]
    assert got == [Admission.FULL, Admission.FULL, Admission.LADDER, Admission.LADDER]
    gate.leave(Admission.LADDER, 0.0, 0.0)
    assert gate.enter() is Admission.LADDER
    for _ in range(3):
        gate.leave(Admission.FULL, 0.0, 0.0)
    assert gate.enter() is Admission.FULL
    assert gate.inflight == 2


def full(gate: ConcurrencyLimiter, asked: int, now: float, took_s: float) -> int:
    """Return how many of so many at once are answered in full; each of these `took_s` seconds."""
    got = [gate.enter() for _ in range(asked)]
    for each in got:
        gate.leave(each, now, now + took_s)
    return got.count(Admission.FULL)


def test_late_answers_halve_the_limit() -> None:
    """Once for all that were under way together, and down to a few, which are no queue."""
    gate = ConcurrencyLimiter(max_inflight=100, target_s=0.05)
    counts = [full(gate, 200, float(turn), 0.06) for turn in range(5)]
    assert counts == [FIRST, FIRST // 2, FIRST // 4, FEWEST, FEWEST]


def test_answers_in_time_raise_the_limit_while_it_is_used() -> None:
    """By about one a round, up to what is set; few requests say nothing of what more would take."""
    gate = ConcurrencyLimiter(max_inflight=100, target_s=0.05)
    counts = [full(gate, 200, float(turn), 0.04) for turn in range(200)]
    assert counts[0] == FIRST
    assert all(before <= after <= before + 1 for before, after in pairwise(counts))
    assert counts[-1] == 100
    full(gate, 200, 300.0, 0.06)
    for turn in range(200):
        assert full(gate, 20, 301.0 + turn, 0.001) == 20
    assert full(gate, 200, 600.0, 0.04) == 50
