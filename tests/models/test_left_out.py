"""What each shopper wanted last, left out: each is asked for at a moment of their own."""

import numpy as np
import pytest

from features.eventlog import EventLog
from models import training
from models.choices import Choices
from models.evaluate import CANDIDATES, MODEL, POPULARITY, RECENT, SEGMENT
from models.fit import fit
from models.left_out import MOMENTS, examples_left_out, figures_left_out
from models.orders import ChosenOrder, Kept
from models.ranker_features import RANKER_FEATURES
from models.split import LEAST_HISTORY, Split, leave_last_out
from models.timeline import Timeline
from tests.support.histories import Happened, log_of, tasteful, wines

CATALOGUE = wines(60)
SHOPPERS = 3 * MOMENTS
EARLY, LATE = 50, 51
"""Wines that only sell before, and only sell after the first half of the shoppers is asked for."""


def crowd() -> EventLog:
    """Return shoppers who each buy five wines and then one more, one shopper after the other.

    Beside them others buy one wine while the first half of them shops, and another since.
    """
    happened = [
        Happened(shopper, (shopper + bought) % 40, 10.0 * shopper + bought)
        for shopper in range(SHOPPERS)
        for bought in range(LEAST_HISTORY + 1)
    ]
    half = SHOPPERS // 2
    happened += [
        Happened(SHOPPERS + day, EARLY if day < half else LATE, 10.0 * day + 0.5 * often)
        for day in range(SHOPPERS)
        for often in range(3)
    ]
    return log_of(happened, 2 * SHOPPERS, CATALOGUE)


@pytest.fixture(scope="module")
def split() -> Split:
    """Return the split of the crowd."""
    return leave_last_out(crowd(), CATALOGUE)


def timeline(log: EventLog) -> Timeline:
    """Return a log of which nothing was measured."""
    told = Timeline(log, CATALOGUE, 0)
    told.choices = Choices()
    return told


def shown(split: Split, name: str) -> list[list[int]]:
    """Return the lists of one kind, in the order in which shoppers are asked for."""
    past = timeline(split.past)
    parts = fit(split.past, split.known, CATALOGUE, Choices(), split.cut_ms)
    figures = figures_left_out(past, parts, split, lambda _: {})
    return [rows.tolist() for rows in figures.by_name[name].shown]


@pytest.mark.parametrize("name", [POPULARITY, RECENT, SEGMENT])
def test_nobody_is_shown_what_sells_later(split: Split, name: str) -> None:
    """As of a moment before they are asked for: those of the first half know no later wine."""
    lists = shown(split, name)
    half = len(lists) // 2
    assert len(lists) == SHOPPERS
    assert all(EARLY in rows for rows in lists[MOMENTS:half])
    assert not any(LATE in rows[:5] for rows in lists[:half])
    assert all(LATE in rows for rows in lists[-MOMENTS:])


def test_what_goes_together_is_learnt_from_all(split: Split) -> None:
    """Candidates are those of one model, whenever a shopper is asked for, but for equals."""
    parts = fit(split.past, split.known, CATALOGUE, Choices(), split.cut_ms)
    assert parts.personal is not None
    scores = (split.histories() @ parts.personal.inputs) @ parts.personal.outputs.T
    for row, blocked in zip(scores, split.blocked, strict=True):
        row[blocked] = -np.inf
    assert split.asked_ms is not None
    for place, rows in zip(np.argsort(split.asked_ms), shown(split, CANDIDATES), strict=True):
        best = np.sort(scores[place])[:-11:-1]
        np.testing.assert_allclose(scores[place][rows], best, rtol=1e-5)


def test_others_are_asked_for_the_same_shoppers(split: Split) -> None:
    """In the same order: a list of what each wanted is perfect."""
    parts = fit(split.past, split.known, CATALOGUE, Choices(), split.cut_ms)
    mixed = split.some(np.random.default_rng(0).permutation(len(split)))
    figures = figures_left_out(
        timeline(split.past), parts, mixed, lambda asked: {"perfect": list(asked.wanted)}
    ).by_name
    assert figures["perfect"].ndcg == 1
    assert figures["perfect"].users == figures[MODEL].users == SHOPPERS


def test_a_ranker_learns_from_rows_of_the_same_kind() -> None:
    """From what each wanted last of what is left, and of sales before that alone."""
    examples = examples_left_out(timeline(leave_last_out(tasteful(), CATALOGUE).past))
    some = len(examples.sizes) // 3
    assert some > 20
    assert {*examples.by_shopper(examples.labels)[0].tolist()} == {0, 1}
    assert all(each.sum() >= 1 for each in examples.by_shopper(examples.labels))
    sold = examples.features[:, RANKER_FEATURES.index("log_events")]
    firsts, lasts = (
        np.concatenate(each).mean()
        for each in (examples.by_shopper(sold)[:some], examples.by_shopper(sold)[-some:])
    )
    assert firsts < lasts - 0.1


def test_of_nothing_nothing_is_learnt() -> None:
    """Nobody wanted anything: no examples, no error."""
    examples = examples_left_out(timeline(log_of([], 0, CATALOGUE)))
    assert examples.features.shape == (0, len(RANKER_FEATURES))
    assert len(examples.sizes) == 0


@pytest.mark.parametrize("kept", [Kept.CANDIDATES, Kept.SUM])
def test_a_ranker_is_learnt_where_the_past_keeps_one(
    monkeypatch: pytest.MonkeyPatch, kept: Kept
) -> None:
    """Then lists are in its order, else in that of the candidates."""
    monkeypatch.setattr(training, "choose_order", lambda _: ChosenOrder(kept))
    figures = training.try_left_out(Timeline(tasteful(), CATALOGUE, 0)).figures.by_name
    same = [
        rows.tolist() == others.tolist()
        for rows, others in zip(figures[MODEL].shown, figures[CANDIDATES].shown, strict=True)
    ]
    assert same
    assert all(same) is (kept is Kept.CANDIDATES)
