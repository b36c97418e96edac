"""An index of items finds what scoring each would, whatever their lengths."""

from pathlib import Path

import numpy as np
import pytest

from models.errors import BundleError
from models.item_index import LEAST_RECALL, RECALL_AT, Floats, ItemIndex

ITEMS, RANK, USERS = 5_000, 8, 200


@pytest.fixture(scope="module")
def vectors() -> Floats:
    """Return item vectors of very different lengths: some are popular."""
    random = np.random.default_rng(1)
    lengths = random.lognormal(0, 1, (ITEMS, 1))
    return (random.normal(size=(ITEMS, RANK)) * lengths).astype(np.float32)


@pytest.fixture(scope="module")
def users() -> Floats:
    """Return vectors of shoppers."""
    return np.random.default_rng(2).normal(size=(USERS, RANK)).astype(np.float32)


@pytest.fixture(scope="module")
def built(vectors: Floats, users: Floats) -> tuple[ItemIndex, float]:
    """Return an index and the recall that was measured."""
    return ItemIndex.build(vectors, users)


def best_of(vectors: Floats, user: Floats, count: int) -> set[int]:
    """Return the rows of the best, by scoring all."""
    return {*np.argsort(-(vectors @ user), kind="stable")[:count].tolist()}


def test_recall_is_what_it_says(
    built: tuple[ItemIndex, float], vectors: Floats, users: Floats
) -> None:
    """The share of the best that is found, for shoppers it has not learnt from."""
    index, recall = built
    found = index.nearest(users[1::2], RECALL_AT, None, everywhere=False)
    shares = [
        len({*rows} & best_of(vectors, user, RECALL_AT)) / RECALL_AT
        for rows, user in zip(found.tolist(), users[1::2], strict=True)
    ]
    assert recall == pytest.approx(np.mean(shares))
    assert recall > LEAST_RECALL - 0.03
    assert index.found_by.nprobe < index.found_by.nlist


def test_everywhere_is_exact(
    built: tuple[ItemIndex, float], vectors: Floats, users: Floats
) -> None:
    """Who looks into all lists finds all of the best."""
    found = built[0].nearest(users[:20], 50, None, everywhere=True)
    for rows, user in zip(found.tolist(), users, strict=False):
        assert {*rows} == best_of(vectors, user, 50)


@pytest.mark.parametrize("share", [0.5, 0.01])
def test_what_is_closed_is_not_found(
    built: tuple[ItemIndex, float], vectors: Floats, users: Floats, share: float
) -> None:
    """Filters hold inside the index, and it looks further where they leave little."""
    closed = np.random.default_rng(3).random(ITEMS) >= share
    count = min(20, int((~closed).sum()))
    found = built[0].nearest(users[:20], count, closed, everywhere=False)
    assert not closed[found[found >= 0]].any()
    open_rows = np.flatnonzero(~closed)
    shares = [
        len({*rows} & {*open_rows[list(best_of(vectors[open_rows], user, count))].tolist()}) / count
        for rows, user in zip(found.tolist(), users, strict=False)
    ]
    assert np.mean(shares) > 0.9


def test_a_file_says_the_same(
    built: tuple[ItemIndex, float], users: Floats, tmp_path: Path
) -> None:
    """Mapped from a file it finds what it found before."""
    path = tmp_path / "index.faiss"
    path.write_bytes(built[0].content())
    opened = ItemIndex.open(path, ITEMS, RANK)
    for everywhere in (False, True):
        asked = (users, 30, None)
        told = opened.nearest(*asked, everywhere=everywhere)
        np.testing.assert_array_equal(told, built[0].nearest(*asked, everywhere=everywhere))


def test_one_item_is_an_index() -> None:
    """A single item is found, and behind it nothing."""
    index, recall = ItemIndex.build(np.ones((1, 3), np.float32), np.ones((4, 3), np.float32))
    assert recall == 1
    found = index.nearest(np.ones((1, 3), np.float32), 3, None, everywhere=False)
    assert found.tolist() == [[0, -1, -1]]


@pytest.mark.parametrize("content", [b"", b"IxFI", b"no index" * 100])
def test_what_is_no_index_is_refused(tmp_path: Path, content: bytes) -> None:
    """The file is named."""
    path = tmp_path / "index.faiss"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"index\.faiss: no index"):
        ItemIndex.open(path, ITEMS, RANK)


@pytest.mark.parametrize(("items", "rank"), [(ITEMS - 1, RANK), (ITEMS, RANK + 1)])
def test_an_index_of_others_is_refused(
    built: tuple[ItemIndex, float], tmp_path: Path, items: int, rank: int
) -> None:
    """An index must be of as many items, with vectors as long."""
    path = tmp_path / "index.faiss"
    path.write_bytes(built[0].content())
    with pytest.raises(BundleError, match=r"index\.faiss: expected"):
        ItemIndex.open(path, items, rank)
