"""What items cost and which are in stock, as the last delivery told."""

import errno
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.errors import StoreError
from features.ids import stable_hashes
from features.offline.store import OfflineStore
from features.offline.tables import ITEMS
from features.shelf import put_shelf, read_shelf, shelf_path, shelf_state

NAN = float("nan")


def items(**told: tuple[float | None, bool]) -> pa.Table:
    """Return items with a price and whether they are in stock."""
    rows = [
        {"item_id": name, "category": "Red", "price": price, "in_stock": there, "attributes": "{}"}
        for name, (price, there) in told.items()
    ]
    return pa.Table.from_pylist(rows, schema=ITEMS)


def told(home: Path, *names: str) -> tuple[list[float], list[bool]]:
    """Return what the shelf says of items that cost 1 and are in stock by what is known so far."""
    shelf = read_shelf(home)
    assert shelf is not None
    hashes = stable_hashes(names)
    order = np.argsort(hashes)
    prices, stock = shelf.over(
        hashes[order], np.ones(len(names), np.float32), np.ones(len(names), np.bool_)
    )
    back = np.argsort(order)
    return prices[back].tolist(), stock[back].tolist()


def test_a_delivery_says_what_is_there(tmp_path: Path) -> None:
    """Later ones what they name; of what no delivery named nothing is said."""
    store = OfflineStore(tmp_path)
    assert (shelf_state(tmp_path), read_shelf(tmp_path)) == (None, None)
    store.put_items(items(a=(2.0, True), b=(None, False)))
    prices, stock = told(tmp_path, "a", "b", "c")
    assert np.array_equal(prices, [2.0, NAN, 1.0], equal_nan=True)
    assert stock == [True, False, True]
    store.put_items(items(b=(3.0, True)))
    assert told(tmp_path, "a", "b") == ([2.0, 3.0], [True, True])


def test_what_says_the_same_is_not_written(tmp_path: Path) -> None:
    """Services would load their model for nothing."""
    store = OfflineStore(tmp_path)
    store.put_items(items(a=(2.0, True)))
    state = shelf_state(tmp_path)
    assert store.put_items(items(a=(2.0, True))) == 0
    assert shelf_state(tmp_path) == state
    shelf_path(tmp_path).unlink()  # as of a process that was killed after the tables had it
    store.put_items(items(a=(2.0, True)))
    assert told(tmp_path, "a") == ([2.0], [True])


def test_what_was_not_told_tidy_tells(tmp_path: Path) -> None:
    """By one who was killed behind the tables, or by a version that had no shelf."""
    store = OfflineStore(tmp_path)
    store.put_items(items(a=(2.0, False)))
    shelf_path(tmp_path).unlink()
    store.tidy()
    assert told(tmp_path, "a") == ([2.0], [False])


def test_another_shop_in_its_place(tmp_path: Path) -> None:
    """Nothing is left of what was there."""
    store = OfflineStore(tmp_path)
    store.put_items(items(a=(2.0, False)))
    store.replace("items", items(b=(3.0, False)).to_batches())
    assert told(tmp_path, "a", "b") == ([1.0, 3.0], [True, False])


def test_nothing_differs(tmp_path: Path) -> None:
    """What is known already is handed back: mapped pages stay shared."""
    (tmp_path / "offline").mkdir()
    prices, stock = np.array([NAN, 2], np.float32), np.array([True, False])
    names = ("a", "b")
    put_shelf(tmp_path, names, prices, stock)
    shelf = read_shelf(tmp_path)
    assert shelf is not None
    hashes = stable_hashes(names)
    order = np.argsort(hashes)
    known = prices[order], stock[order]
    assert shelf.over(hashes[order], *known)[0] is known[0]


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"PK\x03\x04", b"\x93NUMPY\x01\x00\x08\x00{('\n"]
)
def test_what_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    """With its path."""
    shelf_path(tmp_path).parent.mkdir()
    shelf_path(tmp_path).write_bytes(content)
    with pytest.raises(StoreError, match=r"shelf\.bin: not a shelf, or damaged"):
        read_shelf(tmp_path)


def test_no_byte_may_be_another(tmp_path: Path) -> None:
    """A damaged disk sells nothing out."""
    OfflineStore(tmp_path).put_items(items(a=(2.0, True), b=(3.0, False)))
    whole = shelf_path(tmp_path).read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        shelf_path(tmp_path).write_bytes(damaged)
        with pytest.raises(StoreError, match="damaged"):
            read_shelf(tmp_path)


def test_a_disk_that_is_full_is_told_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next delivery tells what this one could not, even if it says the same."""

    def full(_: Path, __: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = OfflineStore(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(StoreError, match=r"shelf\.bin: No space left on device$"):
            store.put_items(items(a=(2.0, True)))
    store.put_items(items(a=(2.0, True)))
    assert told(tmp_path, "a") == ([2.0], [True])
