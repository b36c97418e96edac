"""Candidates from an index: as good as from scoring all, and as strict about what is forbidden."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import retrieval
from models.item_index import ItemIndex
from models.model import Model
from models.parts import Parts
from models.request import Filters, Listed, RankRequest
from tests.models.test_model import asked
from tests.support.bundles import CATEGORIES, small_parts, whole_towers

ITEMS = 3_000


@cache
def models() -> tuple[Model, Model]:
    """Return a model that scores all items, and one of the same items that asks an index."""
    parts = small_parts(ITEMS, towers=whole_towers(ITEMS), ranked=False)
    exact, indexed = Model(parts), Model(with_index(parts))
    assert indexed._personal is not None
    indexed._personal._retrieval.is_exact = False
    return exact, indexed


def with_index(parts: Parts) -> Parts:
    """Return `parts` with an index that looks everywhere, so that it is exact."""
    assert parts.personal is not None
    index, _ = ItemIndex.build(parts.personal.outputs, parts.personal.inputs[:200])
    index.found_by.nprobe = index.found_by.nlist
    return replace(parts, personal=replace(parts.personal, index=index))


def rank(model: Model, *requests: RankRequest) -> list[Listed | None]:
    """Return what is listed for each request of one batch."""
    return [each.listed for each in model.rank(model.batch(requests))]


FILTERS = st.builds(
    Filters,
    categories=st.none() | st.lists(st.sampled_from((*CATEGORIES, "?")), max_size=2).map(tuple),
    price_min=st.none() | st.sampled_from([0.0, 50.0, 89.9, 1e6]),
    price_max=st.none() | st.sampled_from([6.0, 40.0]),
    in_stock=st.booleans(),
)
REQUESTS = st.builds(
    lambda met, blocked, k, filters: asked(
        *((row, "bought") for row in met), blocked=blocked, k=k, filters=filters
    ),
    st.lists(st.integers(0, 200), min_size=1, max_size=20),
    st.lists(st.integers(0, ITEMS - 1), max_size=200),
    st.integers(1, 100),
    FILTERS,
)


@pytest.mark.parametrize("few", [0, retrieval.FEW], ids=["all asked of the index", "few scored"])
def test_an_index_changes_no_list(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking everywhere it gives the scores that scoring all gives, of allowed items only."""
    monkeypatch.setattr(retrieval, "FEW", few)
    exact, indexed = models()

    @settings(max_examples=60)
    @given(st.lists(REQUESTS, min_size=1, max_size=6))
    def lists_are_alike(requests: list[RankRequest]) -> None:
        told = zip(rank(exact, *requests), rank(indexed, *requests), requests, strict=True)
        for expected, got, request in told:
            assert expected is not None
            assert got is not None
            assert got.scores == expected.scores
            allowed = exact._items.allowed(request.filters, request.excluded)
            assert allowed[got.rows].all()
            assert len({*got.rows}) == len(got.rows)

    lists_are_alike()


def test_where_the_lists_near_a_shopper_are_closed_it_looks_further() -> None:
    """A history that forbids all that is near still leaves k items."""
    _, indexed = models()
    assert indexed._personal is not None
    index = indexed._personal._retrieval._index
    assert index is not None
    lists, index.found_by.nprobe = index.found_by.nprobe, 1
    try:
        request = asked((3, "bought"), k=100, filters=Filters(in_stock=False))
        (near,) = rank(indexed, request)
        assert near is not None
        (listed,) = rank(indexed, request._replace(excluded=hashes_of(indexed, near.rows)))
    finally:
        index.found_by.nprobe = lists
    assert listed is not None
    assert len(listed.rows) == 100
    assert not {*listed.rows} & {*near.rows}


def hashes_of(model: Model, rows: list[int]) -> np.ndarray:
    """Return the hashes of items."""
    table = model._items._table
    by_row = np.empty(len(table), np.uint64)
    by_row[table.hash_rows] = table.hashes
    return by_row[rows]


@pytest.mark.parametrize(
    ("exact_s", "index_s", "is_exact"),
    [(1e-4, 1e-5, True), (1e-2, 1e-3, False), (1e-2, 2e-2, True)],
    ids=["cheap enough", "too dear", "dear, but the index more so"],
)
def test_the_way_is_chosen_by_its_cost(
    exact_s: float, index_s: float, is_exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scoring all as long as that is cheap, or cheaper than the index."""
    costs = iter((exact_s, index_s))
    monkeypatch.setattr(retrieval, "_cost_s", lambda _: next(costs))
    model = Model(with_index(small_parts(ITEMS)))
    model.warm()
    assert model.is_exact is is_exact


def test_without_an_index_all_are_scored() -> None:
    """There is nothing to choose."""
    model = Model(small_parts())
    model.warm()
    assert model.is_exact
