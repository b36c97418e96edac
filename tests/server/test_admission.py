"""Admission: in full, from the ladder, refused."""

import pytest

from server.admission import Admission, Gate
from server.errors import UnavailableError


def test_what_a_request_may_cost_falls_with_load() -> None:
    """Two in full, two more from the ladder, the fifth is refused with Retry-After."""
    gate = Gate(max_inflight=2, hard_limit=4)
    got = [gate.enter() for _ in range(4)]
    assert got == [Admission.FULL, Admission.FULL, Admission.LADDER, Admission.LADDER]
    with pytest.raises(UnavailableError) as refused:
        gate.enter()
    assert refused.value.headers() == {"Retry-After": "1"}
    gate.leave()
    assert gate.enter() is Admission.LADDER
    for _ in range(3):
        gate.leave()
    assert gate.enter() is Admission.FULL
    assert gate.inflight == 2
