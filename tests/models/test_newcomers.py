"""What newcomers are shown is decided by newcomers of the past, and by nothing that came later."""

from dataclasses import replace

import numpy as np
import pytest

from features.eventlog import EventLog
from models.audiences import newcomers
from models.dataset import Interactions
from models.evaluate import MODEL, POPULARITY, RECENT
from models.fit import fit
from models.model import Model
from models.newcomers import LEAST_NEWCOMERS, MARKET_PRIORS, Newcomers, Trials
from models.popularity import ALL_TIME_DAYS
from models.replay import popular_lists
from models.rolling import rolling_figures
from models.segments import MARKET_PRIOR, Codes, Crowds, markets_of
from models.timeline import NOW, TEST, Timeline
from tests.support.histories import DAY_MS, Happened, log_of, wines

ITEMS = 60
CATALOGUE = wines(ITEMS)
OLD, LATE = range(12), range(20, 32)
"""Items that were bought two years before the cut, by many, and in the month before it, by few."""

CUT_MS = 1_000 * DAY_MS
LAST_DAYS = 57
"""The last tenth of what `_arriving` shoppers buy comes later."""

NOWHERE: Codes = np.full(600, -1, np.int32)


def _known(by_market: bool = False) -> Interactions:
    """Return what 400 shoppers bought, three items each; `by_market` even ones other than odd."""
    users = np.repeat(np.arange(400), 3)
    of = users % 2 == 0 if by_market else np.arange(1_200) < 700
    items = np.where(of, users % 12, 20 + users % 12) + np.tile([0, 1, 2], 400) * by_market
    ts = np.where(np.arange(1_200) < 700, 270, 980) * DAY_MS
    return Interactions(users, items, np.ones(1_200, np.float32), ts, 600, ITEMS)


def _wanting(rows: range, users: range) -> Newcomers:
    wanted = tuple(np.array([rows[user % len(rows)]]) for user in users)
    return Newcomers(_known(), CUT_MS, np.array(users), wanted)


@pytest.mark.parametrize(("rows", "days"), [(OLD, "all time"), (LATE, "30")])
def test_newcomers_decide_how_fast_what_everybody_wants_fades(rows: range, days: str) -> None:
    """Where they want what always sold nothing fades; where they want the latest, it does fast."""
    trials = Trials([_wanting(rows, range(400, 600))], NOWHERE)
    crowds = trials.best(1)
    assert crowds.half_life_days == (ALL_TIME_DAYS if days == "all time" else 30)
    by_half_life = trials.told()["ndcg@10_by_half_life"]
    assert by_half_life[days] == max(by_half_life.values()) > min(by_half_life.values())
    assert crowds.market_prior == MARKET_PRIOR  # nobody lives anywhere: there is nothing to decide
    assert trials.told().keys() == {"ndcg@10_by_half_life"}


def test_newcomers_decide_whether_what_is_met_later_counts() -> None:
    """Everybody begins with some of twelve items and goes on to twenty others; so will they."""
    users, place = np.repeat(np.arange(400), 30), np.tile(np.arange(30), 400)
    items = np.where(place < 10, (users + place) % 12, 12 + place)
    ts = (970 + place) * DAY_MS
    known = Interactions(users, items, np.ones(12_000, np.float32), ts, 600, ITEMS)
    wanted = tuple(np.array([user % 12]) for user in range(400, 600))
    crowds = Trials([Newcomers(known, CUT_MS, np.arange(400, 600), wanted)], NOWHERE).best(1)
    assert crowds.firsts == 10


def test_few_newcomers_decide_nothing() -> None:
    """With one too few it stays as usual, and nothing is told."""
    few = range(400, 400 + LEAST_NEWCOMERS - 1)
    for spans in ([], [_wanting(OLD, few)]):
        trials = Trials(spans, NOWHERE)
        assert (trials.best(len(spans)), trials.told()) == (Crowds(), {})


@pytest.mark.parametrize("there_are", [True, False])
def test_markets_stay_where_they_tell_more_than_everybody(there_are: bool) -> None:
    """Newcomers want what those want who live where they do, or what the others want."""
    homes = (np.arange(600) % 2).astype(np.int32)
    users = np.arange(400, 600)
    like = users % 2 == 0 if there_are else users % 2 == 1
    wanted = tuple(np.array([each]) for each in np.where(like, users % 12, 20 + users % 12))
    trials = Trials([Newcomers(_known(True), CUT_MS, users, wanted)], homes)
    crowds, by_prior = trials.best(1), trials.told()["ndcg@10_by_market_prior"]
    assert (crowds.market_prior is not None) == there_are
    best = "no markets" if crowds.market_prior is None else f"{crowds.market_prior:g}"
    assert by_prior[best] == max(by_prior.values())
    assert len(by_prior) == len(MARKET_PRIORS) + 1


def test_each_span_is_shown_what_those_before_it_chose() -> None:
    """The first span wants what is old: so the second is shown that, though it wants the latest."""
    spans = [_wanting(rows, range(400, 600)) for rows in (OLD, LATE)]
    figures = rolling_figures(spans, NOWHERE)
    assert figures.by_name[MODEL].users == 200
    assert figures.by_name[MODEL].ndcg == figures.by_name[POPULARITY].ndcg
    assert figures.by_name[MODEL].ndcg < figures.by_name[RECENT].ndcg
    assert figures.segments == ("global",) * 200


def _arriving(later: int = 0) -> EventLog:
    """Return a log in which ten shoppers come each day and buy an item a day, for eight days.

    What is bought in the last days is an item `later` rows further on.
    """
    happened = []
    for shopper in range(600):
        for number in range(8):
            day = shopper // 10 + number
            item = 7 * shopper + 11 * number + (later if day > LAST_DAYS else 0)
            happened.append(Happened(shopper, item % ITEMS, 19_000 + day + shopper % 10 / 10))
    return log_of(happened, 600, CATALOGUE)


@pytest.fixture(scope="module")
def timeline() -> Timeline:
    """Return the past of shoppers who come evenly."""
    return Timeline(_arriving(), CATALOGUE, 0)


@pytest.mark.parametrize("cut", [0.4, 0.7, 0.9])
def test_newcomers_of_a_span_are_those_that_are_judged(timeline: Timeline, cut: float) -> None:
    """Both ways to find them give the same shoppers, who wanted the same."""
    span = timeline.moment(cut), timeline.moment(round(cut + 0.1, 6))
    split, told = newcomers(timeline.log, CATALOGUE, *span), timeline.came(cut)
    assert told.users.tolist() == split.users.tolist()
    assert [each.tolist() for each in told.wanted] == [each.tolist() for each in split.wanted]
    assert len(told) > 20


def test_what_is_measured_is_what_segments_have(timeline: Timeline) -> None:
    """The lists of a trial are those that a model of the same crowds shows, market by market."""
    crowds, (markets, _) = Crowds(30.0, 3, 400.0), markets_of(timeline.log)
    asked = timeline.came(TEST)
    choices = replace(timeline.choices, crowds=crowds)
    parts = fit(timeline.log, asked.known, CATALOGUE, choices, asked.cut_ms)
    split = newcomers(timeline.log, CATALOGUE, asked.cut_ms, timeline.moment(NOW))
    shown = popular_lists(Model(parts), split)
    assert [each.tolist() for each in asked.lists(crowds, markets)] == [x.tolist() for x in shown]
    assert len(np.unique(np.array(shown), axis=0)) == 2


def test_what_came_after_the_last_cut_decides_nothing(timeline: Timeline) -> None:
    """With other items bought there the same is chosen, by the same figures."""
    other = Timeline(_arriving(later=1), CATALOGUE, 0)
    assert other.moment(TEST) == timeline.moment(TEST) < (19_000 + LAST_DAYS + 1) * DAY_MS
    assert not np.array_equal(other.log.records, timeline.log.records)
    told = timeline.choices.told()
    assert told["validation"]["ndcg@10_by_half_life"]
    assert told["validation"]["ndcg@10_by_market_prior"]
    assert other.choices.told() == told
