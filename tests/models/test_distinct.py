"""Texts that are all different, whatever they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import models.distinct
from models.distinct import are_distinct


@given(st.lists(st.binary(max_size=20).filter(lambda text: not text.endswith(b"\0")), min_size=1))
def test_a_text_that_is_there_twice_is_found(texts: list[bytes]) -> None:
    """As a set would tell."""
    assert are_distinct(np.array(texts, np.bytes_)) is (len(set(texts)) == len(texts))


def test_numbers_that_meet_do_not_make_two_texts_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is equal by chance only is compared in full."""
    monkeypatch.setattr(models.distinct, "_ODD", np.uint64(0))
    assert are_distinct(np.array([b"one", b"two"]))
    assert not are_distinct(np.array([b"one", b"two", b"one"]))


def test_texts_far_apart_are_compared() -> None:
    """Those of one run with those of another."""
    texts = np.array([f"item-{number}" for number in range(70_000)], np.bytes_)
    assert are_distinct(texts)
    texts[-1] = texts[0]
    assert not are_distinct(texts)
