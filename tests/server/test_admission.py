"""Admission: in full, from the ladder, refused."""

from contextlib import ExitStack

import pytest

from server.admission import Admission, Gate
from server.errors import UnavailableError


def test_what_a_request_may_cost_falls_with_load() -> None:
    """Two in full, two more from the ladder, the fifth is refused with Retry-After."""
    gate = Gate(max_inflight=2, hard_limit=4)
    with ExitStack() as held:
        got = [held.enter_context(gate.admit()) for _ in range(4)]
        assert got == [Admission.FULL, Admission.FULL, Admission.LADDER, Admission.LADDER]
        with pytest.raises(UnavailableError) as refused, gate.admit():
            pass
        assert refused.value.headers() == {"Retry-After": "1"}
    assert gate.inflight == 0


def test_a_place_is_given_back_after_an_error() -> None:
    """A request that fails leaves no place taken."""
    gate = Gate(max_inflight=1, hard_limit=1)
    with pytest.raises(KeyError), gate.admit():
        raise KeyError
    with gate.admit() as admission:
        assert admission is Admission.FULL
