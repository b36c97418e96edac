"""What the validation split decides of candidates."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from models import choices as choices_module
from models import towers as towers_module
from models.choices import Choices, choose, usual
from models.fit import fit
from models.gram import Doubles, Gram
from models.metrics import Quality, quality
from models.split import Split, temporal_split
from models.towers import Method, faded, fit_towers
from tests.support.histories import DAY_MS, Happened, log_of, tasteful, wines

CATALOGUE = wines(60)
CUT_MS, END_MS = 19_270 * DAY_MS, 19_366 * DAY_MS


@pytest.fixture(scope="module")
def split() -> Split:
    """Return a split of shoppers with a taste each."""
    return temporal_split(tasteful(), CATALOGUE, CUT_MS, END_MS)


def test_all_methods_are_measured(split: Split) -> None:
    """And one of them is chosen, whose figure is among those that are told."""
    chosen = choose(CATALOGUE, split)
    told = chosen.told()
    by_method = told["validation"]["ndcg@10_by_candidates"]
    assert [*by_method] == [each.value for each in Method]
    assert told["candidates"] == chosen.method.value
    assert by_method["EASE"] == max(told["validation"]["ndcg@10_by_regularisation"].values())
    assert min(by_method.values()) > 0.1


@pytest.mark.parametrize(
    ("gains", "method"),
    [
        ((0.0, 0.1, 0.05, 0.0), Method.ITEMS),
        ((0.0, 0.05, 0.1, 0.0), Method.FACTORS),
        ((0.0, 0.0500, 0.0501, 0.0), Method.FACTORS),
        ((0.0, 0.05, 0.1, 0.2), Method.ALS),
        ((0.0, 0.0001, -0.1, 0.0001), Method.EASE),
        ((0.0, -0.1, -0.1, -0.1), Method.EASE),
    ],
)
def test_what_is_better_by_more_than_chance_is_taken(
    split: Split,
    gains: tuple[float, ...],
    method: Method,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the usual stays."""
    told = quality([np.arange(10)] * len(split), split.wanted, split.known.met())
    wavering = 0.01 * np.sin(np.arange(float(len(split))))

    def measured(_split: Split, _regularisation: float, _gram: Gram, asked: Method) -> Quality:
        place = [*Method].index(asked)
        by_user = told.by_user + gains[place] + place * wavering
        return replace(told, by_user=by_user, ndcg=float(by_user.mean()))

    monkeypatch.setattr(choices_module, "_quality", measured)
    assert choose(CATALOGUE, split).method is method


def test_of_many_items_only_what_is_sparse_is_measured(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the limit no items² numbers are computed, to measure anything either."""
    monkeypatch.setattr(choices_module, "DENSE_LIMIT", 30)
    monkeypatch.setattr(towers_module, "DENSE_LIMIT", 30)
    told = choose(CATALOGUE, split, _refused).told()
    assert [*told["validation"]["ndcg@10_by_candidates"]] == ["PureSVD", "ALS"]
    assert usual(CATALOGUE).method is Method.FACTORS


def test_sets_of_a_large_catalogue_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are more of them than a tower has numbers: PureSVD misses some, and ALS serves."""
    monkeypatch.setattr(choices_module, "DENSE_LIMIT", 30)
    monkeypatch.setattr(towers_module, "DENSE_LIMIT", 30)
    catalogue = wines(600)
    random = np.random.default_rng(0)
    happened = [
        Happened(shopper, shopper % 100 * 6 + number, 19_000 + day)
        for shopper in range(300)
        for number, day in enumerate(random.permutation(6) * 60 + random.uniform(0, 60))
    ]
    split = temporal_split(
        log_of(happened, 300, catalogue), catalogue, 19_300 * DAY_MS, END_MS, (4, 6)
    )
    assert choose(catalogue, split, _refused).method is Method.ALS


def _refused(_: sparse.csr_matrix) -> Doubles:
    raise AssertionError


def test_many_pairs_are_not_factored_to_be_measured(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the limit it would take more time than it is worth."""
    monkeypatch.setattr(choices_module, "ALS_LIMIT", len(split.known) - 1)
    told = choose(CATALOGUE, split).told()["validation"]["ndcg@10_by_candidates"]
    assert [*told] == ["EASE", "item-item cosine", "PureSVD"]


@pytest.mark.parametrize("method", Method)
def test_what_was_chosen_is_what_is_learnt(split: Split, method: Method) -> None:
    """The towers of a model are those that were measured."""
    parts = fit(split.past, split.known, CATALOGUE, Choices(method=method), CUT_MS)
    towers = fit_towers(faded(split.known, CUT_MS), Choices().regularisation, method=method)
    met = split.known.met() > 0
    assert parts.personal is not None
    np.testing.assert_array_equal(parts.personal.inputs[met], towers.inputs[met])
    np.testing.assert_array_equal(parts.personal.outputs[met], towers.outputs[met])


@pytest.mark.parametrize("method", Method)
def test_scores_follow_taste_whatever_they_are_of(split: Split, method: Method) -> None:
    """Who buys one category gets more of it."""
    matrix = split.known.matrix()[split.users]
    scores = fit_towers(faded(split.known, CUT_MS), 10.0, method=method).scores(matrix)
    own = np.arange(60) % 4 == (split.users % 4)[:, None]
    assert scores[own].mean() > 2 * abs(scores[~own].mean())
