"""Places filled one by one, against plain Python; and chance that comes again."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.rules.arrange import Contest, Filled, fill
from models.rules.chance import uniform

NOTHING = -np.inf
K = 6


def contest(scores: list[float], **told: object) -> Contest:
    """Return the contest of one shopper for `K` places."""
    reserved = np.full((1, K), -1)
    return Contest(np.array([scores], np.float32), reserved)._replace(**told)  # type: ignore[arg-type]


def columns(filled: Filled) -> list[int]:
    """Return who stands where."""
    told: list[int] = filled.columns[0].tolist()
    return told


SCORES = st.lists(st.sampled_from([NOTHING, -1.0, 0.0, 0.5, 2.0]), min_size=1, max_size=12)


@given(SCORES)
def test_without_rules_the_best_come_first(scores: list[float]) -> None:
    """In the order of scores, ties in that of columns, and nothing that is not there."""
    there = [column for column, score in enumerate(scores) if score > NOTHING]
    there.sort(key=lambda column: -scores[column])
    expected = (there + [-1] * K)[:K]
    assert columns(fill(contest(scores))) == expected
    caps = np.array([100])
    categories = np.zeros((1, len(scores)), np.int64)
    slow = fill(contest(scores, categories=categories, caps=caps))
    assert columns(slow) == expected
    assert slow.propensities.tolist() == [[1.0] * K]


@given(SCORES, st.lists(st.integers(0, 2), min_size=12, max_size=12), st.integers(0, 3))
def test_a_category_has_no_more_than_its_cap(
    scores: list[float], categories: list[int], cap: int
) -> None:
    """And what is under the cap comes in order."""
    told = np.array([categories[: len(scores)]])
    filled = columns(fill(contest(scores, categories=told, caps=np.full(3, cap))))
    expected: list[int] = []
    for column in sorted(range(len(scores)), key=lambda each: -scores[each]):
        of_it = sum(categories[each] == categories[column] for each in expected)
        if scores[column] > NOTHING and of_it < cap and len(expected) < K:
            expected.append(column)
    assert [each for each in filled if each >= 0] == expected


def test_a_place_that_is_reserved_is_kept() -> None:
    """Others stand around it; it counts for the cap."""
    reserved = np.array([[-1, 4, -1, -1, -1, -1]])
    scores = [4.0, 3.0, 2.0, 1.0, NOTHING]
    assert columns(fill(contest(scores, reserved=reserved))) == [0, 4, 1, 2, 3, -1]
    categories = np.array([[0, 1, 0, 1, 0]])
    told = contest(scores, reserved=reserved, categories=categories, caps=np.array([2, 1]))
    assert columns(fill(told)) == [0, 4, 1, -1, -1, -1]


@pytest.mark.parametrize(("factor", "place"), [(1, 3), (1.4, 3), (1.6, 2), (2.9, 2), (3.1, 1)])
def test_a_factor_divides_a_place(factor: float, place: int) -> None:
    """Times three, the third is before the first; whatever the scores are."""
    lifts = np.array([[0, 0, math.log(factor), 0]], np.float32)
    for scores in ([9.0, 8.0, 7.0, 6.0], [0.1, 0.09, -100.0, -200.0]):
        assert columns(fill(contest(scores, lifts=lifts))).index(2) == place - 1


def test_what_is_disliked_falls() -> None:
    """The whole penalty takes the first to the end."""
    penalties = np.array([[1, 0, 0, 0]], np.float32)
    told = columns(fill(contest([4.0, 3.0, 2.0, 1.0], penalties=penalties)))
    assert told[:4] == [1, 2, 3, 0]


@pytest.mark.parametrize("diversity", [0.5, 1])
def test_variety_prefers_what_is_unlike(diversity: float) -> None:
    """The second of two that are the same waits until the others are in; scores decide the rest."""
    directions = np.array([[[1, 0], [1, 0], [0, 1], [1, 0]]], np.float32)
    told = contest([4.0, 3.0, 2.0, 1.0], directions=directions, diversity=diversity)
    assert columns(fill(told))[:4] == [0, 2, 1, 3]
    reserved = np.array([[-1, -1, 3, -1, -1, -1]])
    scores = [4.0, 3.0, 2.0, NOTHING]
    kept = contest(scores, directions=directions, diversity=diversity, reserved=reserved)
    assert columns(fill(kept))[:4] == [2, 0, 3, 1]  # unlike what stands further down, too


def test_drawn_lists_follow_their_propensities() -> None:
    """Over many draws each item is first as often as was said, and p ** (-1 / strength) of them."""
    scores = [3.0, 2.0, 1.0, NOTHING]
    weights = np.array([1, 2, 3]) ** (-1 / 0.7)
    expected = weights / weights.sum()
    seen = np.zeros(3)
    for seed in range(4_000):
        filled = fill(contest(scores, strength=0.7, seeds=(seed * 7_919,)))
        first = int(filled.columns[0, 0])
        seen[first] += 1
        assert filled.propensities[0, 0] == pytest.approx(expected[first], abs=1e-4)
        assert sorted(filled.columns[0, :3].tolist()) == [0, 1, 2]
        assert filled.propensities[0, 2:].tolist() == [1.0] * 4  # nobody else was left
    assert seen / seen.sum() == pytest.approx(expected, abs=0.03)


def test_a_reserved_place_leaves_the_draw_of_others_as_it_is() -> None:
    """Wherever new items stand, what is drawn beside them comes in the same order."""
    scores = [5.0, 4.0, 3.0, 2.0, 1.0, NOTHING]
    drawn = set()
    for place in range(6):
        reserved = np.full((1, 6), -1)
        reserved[0, place] = 5
        told = fill(contest(scores, strength=1.0, seeds=(7,), reserved=reserved))
        drawn.add(tuple(each for each in columns(told) if each != 5))
    assert len(drawn) == 1


def test_the_same_seed_draws_the_same() -> None:
    """And shoppers draw apart from each other, whoever else is drawn for."""
    told = uniform((3, 4), 50)
    assert (told == uniform((3, 4), 50)).all()
    assert (uniform((4,), 50)[0] == told[1]).all()
    assert (told[0] != told[1]).any()
    assert ((told >= 0) & (told < 1)).all()
    many = uniform((2**64 - 1,), 100_000)
    assert many.mean() == pytest.approx(0.5, abs=0.01)
