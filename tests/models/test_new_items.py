"""Items that nobody met get vectors from those that are like them on paper."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from models import new_items as new_items_module
from models.audiences import new_items, only_new, taken_for_new
from models.choices import Choices
from models.evaluate import MODEL, POPULARITY, evaluate
from models.examples import examples_of
from models.fit import fit
from models.items import Items
from models.metrics import difference
from models.model import Model
from models.new_items import expected, introduce
from models.parts import Floats, Rows
from models.personal import PersonalRanker
from models.ranker_features import ITEM_STATS, RANKER_FEATURES, SCORE
from models.segment_table import SegmentTable
from models.segments import Attribute
from models.split import temporal_split
from models.towers import Towers
from tests.support.bundles import linear_ranker
from tests.support.histories import DAY_MS, tasteful, wines

CATALOGUE = wines(12)  # categories in turn, corks four at a time
PRICE = ITEM_STATS.index("log_price")


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


def test_names_tell_no_kinds_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """What each item has alone is in common to none: as few kinds are compared, with one result."""
    towers, met, compared = _towers(24), (np.arange(24) % 3 > 0).astype(np.int64), list[int]()
    told_of = new_items_module._told

    def counted(kinds: Rows, attributes: list[Attribute]) -> sparse.csr_matrix:
        compared.append(len(kinds))
        return told_of(kinds, attributes)

    monkeypatch.setattr(new_items_module, "_told", counted)
    shop, names = wines(24), np.array([f"wine {number}" for number in range(24)], object)
    named = replace(shop, attributes={**shop.attributes, "name": names})
    plain, told = introduce(towers, shop, met), introduce(towers, named, met)
    np.testing.assert_array_equal(told.outputs, plain.outputs)
    assert compared[0] == compared[1] == 12


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
    parts = fit(split.past, split.known, catalogue, Choices(), cut_ms)
    figures = evaluate(parts, only_new(new_items(split), catalogue)).by_name
    gain, error = difference(figures[MODEL], figures[POPULARITY])
    assert gain > 3 * error > 0


def test_of_new_items_is_expected_what_those_like_them_have() -> None:
    """Weighed as vectors are; prices stay their own, and what was met stays as it is."""
    met = np.ones(24, np.int64)
    met[0] = 0
    stats = np.random.default_rng(1).normal(size=(24, len(ITEM_STATS))).astype(np.float32)
    told = expected(stats, wines(24), met)
    alike, kin = [12], [4, 8, 16, 20, 1, 2, 3, 13, 14, 15]
    want = (256 * stats[alike].sum(axis=0) + stats[kin].sum(axis=0)) / (256 + len(kin))
    want[PRICE] = stats[0, PRICE]
    np.testing.assert_allclose(told[0], want, rtol=1e-4)
    np.testing.assert_array_equal(told[1:], stats[1:])


def test_nothing_is_expected_of_what_is_like_nothing() -> None:
    """No attribute is known of it, or nobody met anything at all."""
    bare = replace(
        CATALOGUE,
        category=np.where(np.arange(12) == 3, "", CATALOGUE.category),
        attributes={},
    )
    stats = np.random.default_rng(1).normal(size=(12, len(ITEM_STATS))).astype(np.float32)
    met = (np.arange(12) != 3).astype(np.int64)
    np.testing.assert_array_equal(expected(stats, bare, met), stats)
    assert expected(stats, CATALOGUE, np.zeros(12, np.int64)) is stats


def test_what_is_expected_of_an_item_does_not_say_that_it_was_met() -> None:
    """Places for new items are still theirs, however much is expected."""
    catalogue, cut_ms, end_ms = wines(60), 19_270 * DAY_MS, 19_366 * DAY_MS
    gone = taken_for_new(catalogue)
    split = temporal_split(tasteful(), catalogue, cut_ms, end_ms, gone=gone)
    parts = fit(split.past, split.known, catalogue, Choices(), cut_ms)
    assert parts.personal is not None
    met, new = split.known.met(), split.known.met() == 0
    assert (parts.personal.item_stats[new, ITEM_STATS.index("log_events")] > 1).all()
    items = Items(parts.items)
    personal = PersonalRanker(parts.personal, items, SegmentTable(parts.segments))
    np.testing.assert_array_equal(personal.met_by, met)
    earlier = replace(parts.personal, met=None)  # no such array, and new items as they sold
    earlier = replace(earlier, item_stats=_as_they_sold(parts.personal.item_stats, met))
    told = PersonalRanker(earlier, items, SegmentTable(parts.segments)).met_by
    np.testing.assert_array_equal(told, met)


def test_a_ranker_that_goes_by_sales_does_not_set_new_items_back() -> None:
    """Among all items they are found as often as by fit alone, where nothing else tells."""
    catalogue, cut_ms, end_ms = wines(60), 19_270 * DAY_MS, 19_366 * DAY_MS
    gone = taken_for_new(catalogue)
    split = temporal_split(tasteful(400), catalogue, cut_ms, end_ms, gone=gone)
    parts = fit(split.past, split.known, catalogue, Choices(), cut_ms)
    assert parts.personal is not None
    weights = np.zeros(len(RANKER_FEATURES), np.float32)
    weights[SCORE], weights[RANKER_FEATURES.index("log_events")] = 1, 0.5
    asked = new_items(split)
    told = []
    met = split.known.met()
    for stats in (parts.personal.item_stats, _as_they_sold(parts.personal.item_stats, met)):
        personal = replace(parts.personal, ranker=linear_ranker(weights), item_stats=stats)
        told.append(evaluate(replace(parts, personal=personal), asked).by_name[MODEL])
    gain, error = difference(*told)
    assert gain > 3 * error > 0


def _as_they_sold(stats: Floats, met: Rows) -> Floats:
    """Return statistics that expect nothing of what nobody met."""
    new, told = met == 0, stats.copy()
    assert new.any()
    told[new] = np.where(np.arange(len(ITEM_STATS)) == PRICE, stats[new], 0)
    return told


def test_rankers_learn_of_what_somebody_had_met_only() -> None:
    """What nobody had met is no candidate of theirs, whether it was wanted later or not."""
    catalogue, cut_ms, end_ms = wines(60), 19_270 * DAY_MS, 19_366 * DAY_MS
    gone = taken_for_new(catalogue)
    split = temporal_split(tasteful(), catalogue, cut_ms, end_ms, gone=gone)
    parts = fit(split.past, split.known, catalogue, Choices(), cut_ms)
    examples = examples_of(Model(parts), split)
    is_met = split.known.met() > 0
    wanted = [is_met[rows].sum() for rows in split.wanted]
    there = [is_met.sum() - is_met[rows].sum() for rows in split.blocked]
    assert not all(wanted)
    assert sum(wanted) < sum(map(len, split.wanted))
    assert examples.labels.sum() == sum(wanted)
    assert examples.sizes.tolist() == [
        count for count, some in zip(there, wanted, strict=True) if some
    ]
