"""Items that nobody met get vectors from those that are like them on paper."""

from dataclasses import replace

import numpy as np

from models.audiences import new_items, only_new, taken_for_new
from models.choices import Choices
from models.ease import Towers
from models.evaluate import MODEL, POPULARITY, evaluate
from models.fit import fit
from models.metrics import difference
from models.new_items import introduce
from models.split import temporal_split
from tests.support.histories import DAY_MS, tasteful, wines

CATALOGUE = wines(12)  # categories in turn, corks four at a time


def _towers(items: int) -> Towers:
    random = np.random.default_rng(0)
    inputs, outputs = random.normal(size=(2, items, 4)).astype(np.float32)
    return Towers(inputs, outputs)


def test_the_more_alike_the_more_they_count() -> None:
    """One shares category and cork, two the category, three the cork: 256 to 1 each."""
    towers, met = _towers(24), np.ones(24, np.int64)
    met[0] = 0
    told = introduce(towers, wines(24), met)
    alike, kin = [12], [4, 8, 16, 20, 1, 2, 3, 13, 14, 15]
    for name in ("inputs", "outputs"):
        before, after = getattr(towers, name), getattr(told, name)
        expected = (256 * before[alike].sum(axis=0) + before[kin].sum(axis=0)) / (256 + len(kin))
        np.testing.assert_allclose(after[0], expected, rtol=1e-5)
        np.testing.assert_array_equal(after[1:], before[1:])


def test_where_all_were_met_or_none_nothing_changes() -> None:
    """There is nobody to introduce, or nobody to learn from."""
    towers = _towers(12)
    assert introduce(towers, CATALOGUE, np.ones(12, np.int64)) is towers
    assert introduce(towers, CATALOGUE, np.zeros(12, np.int64)) is towers


def test_what_has_nothing_in_common_points_nowhere() -> None:
    """No attribute is known of a new item."""
    bare = replace(
        CATALOGUE,
        category=np.where(np.arange(12) == 3, "", CATALOGUE.category),
        attributes={},
    )
    towers, met = _towers(12), (np.arange(12) != 3).astype(np.int64)
    told = introduce(towers, bare, met).outputs
    assert not told[3].any()
    np.testing.assert_array_equal(told[:3], towers.outputs[:3])


def test_new_items_find_those_who_like_such() -> None:
    """Known by category and cork alone, they beat the order of popularity by far."""
    catalogue, cut_ms, end_ms = wines(60), 19_270 * DAY_MS, 19_366 * DAY_MS
    gone = taken_for_new(catalogue)
    split = temporal_split(tasteful(400), catalogue, cut_ms, end_ms, gone=gone)
    parts = fit(split.past, split.known, catalogue, Choices(), cut_ms, 0)
    figures = evaluate(parts, only_new(new_items(split), catalogue)).by_name
    gain, error = difference(figures[MODEL], figures[POPULARITY])
    assert gain > 3 * error > 0
