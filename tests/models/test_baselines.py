"""Other people's recommenders: they learn, know what is new to them, and are tuned by us."""

import numpy as np
import pytest

pytest.importorskip("implicit", reason="needs the extra `baselines`")
pytest.importorskip("cornac", reason="needs the extra `baselines`")

from models.audiences import anonymous
from models.baselines import _ease, baseline_lists, choose_baselines
from models.ease import ease_weights
from models.metrics import best_new, quality
from models.popularity import popularity
from models.split import Split, temporal_split
from tests.support.histories import DAY_MS, tasteful, wines

CATALOGUE = wines(60)


@pytest.fixture(scope="module")
def split() -> Split:
    """Return a split of shoppers with a taste each."""
    return temporal_split(tasteful(), CATALOGUE, 19_270 * DAY_MS, 19_366 * DAY_MS)


def test_each_beats_popularity_and_takes_its_best_settings(split: Split) -> None:
    """Tastes can be learnt; what serves is what measured best; a second time is the same."""
    met = split.known.met()
    everybody = popularity(split.known, split.cut_ms)[None]
    nobody = np.zeros(len(split), np.int64)
    popular = quality(best_new(everybody, nobody, split.blocked), split.wanted, met).ndcg
    chosen = choose_baselines(split, 0)
    assert len(chosen) == 3
    for each in chosen.values():
        assert each.measured[each.settings] == max(each.measured.values()) > popular
        one, other = baseline_lists(each.fit, split), baseline_lists(each.fit, split)
        assert [rows.tolist() for rows in one] == [rows.tolist() for rows in other]
        for rows, blocked in zip(one, split.blocked, strict=True):
            assert not np.isin(rows, blocked).any()


def test_who_was_not_there_to_learn_from_is_scored_all_the_same(split: Split) -> None:
    """Anonymous sessions are nobody's that was learnt from: their clicks tell."""
    asked = anonymous(split, CATALOGUE)
    for each in choose_baselines(split, 0).values():
        lists = baseline_lists(each.fit, asked)
        assert len({tuple(rows.tolist()) for rows in lists}) > len(lists) / 4


def test_their_ease_is_ours_in_closed_form(split: Split) -> None:
    """What is learnt is numbered as our items are: the scores are those of the same formula."""
    matrix = split.known.matrix()
    expected = matrix @ ease_weights(matrix, 300.0)
    told = _ease(300.0, positive=False)(matrix)(matrix)
    np.testing.assert_allclose(told, expected, atol=1e-4)
