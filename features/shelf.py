"""What items cost and which are in stock, as the last delivery told: models are older than that.

CUVEE_HOME/offline/shelf.bin ─ 16 bytes, BLAKE2b of what follows: services believe no damaged file
                               13 bytes an item: whose, its price, whether it is in stock
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from features.errors import StoreError
from features.ids import Hashes, stable_hashes
from features.whole_file import named, replacing

ITEM = np.dtype([("item", "<u8"), ("price", "<f4"), ("in_stock", "?")])

_MARK = 16

State = tuple[int, int, int]
"""What tells one file from another that took its place."""

Prices = npt.NDArray[np.float32]
Stock = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Shelf:
    """`items` are of `ITEM`, by ascending hash; a price is NaN where it is not known."""

    items: npt.NDArray[np.void]
    digest: str
    """Of what is told, whenever and wherever it was written."""

    def over(self, hashes: Hashes, prices: Prices, in_stock: Stock) -> tuple[Prices, Stock]:
        """Return what items with these hashes cost, and which are in stock; others stay.

        All have an entry for each item; where nothing differs they are handed back.
        """
        if not len(self.items):
            return prices, in_stock
        places = np.minimum(self.items["item"].searchsorted(hashes), len(self.items) - 1)
        told = self.items[places]
        is_told = told["item"] == hashes
        costs = np.where(is_told, told["price"], prices)
        is_there = np.where(is_told, told["in_stock"], in_stock)
        if np.array_equal(costs, prices, equal_nan=True) and np.array_equal(is_there, in_stock):
            return prices, in_stock
        return costs, is_there


def shelf_path(home: Path) -> Path:
    """Return where the shelf of a home lies."""
    return home / "offline" / "shelf.bin"


def put_shelf(home: Path, item_ids: Sequence[str], prices: Prices, in_stock: Stock) -> None:
    """Tell services, which look once a second; raise `OSError`.

    Callers see to it that no other does so at the same time. What says the same is not written.
    """
    hashes, items = stable_hashes(item_ids), np.empty(len(item_ids), ITEM)
    order = np.argsort(hashes, kind="stable")
    items["item"], items["price"], items["in_stock"] = (
        each.take(order) for each in (hashes, prices, in_stock)
    )
    told = items.tobytes()
    content = _mark(told) + told
    path = shelf_path(home)
    if path.exists() and path.read_bytes() == content:
        return
    with replacing(path) as fresh, named(path):
        fresh.write_bytes(content)


def shelf_state(home: Path) -> State | None:
    """Return what changes with the shelf, None where there is none; raise `StoreError`."""
    try:
        told = shelf_path(home).stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{shelf_path(home)}: {error.strerror}") from error
    return told.st_ino, told.st_mtime_ns, told.st_size


def read_shelf(home: Path) -> Shelf | None:
    """Return the shelf of a home, None where there is none; raise `StoreError`."""
    path = shelf_path(home)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}") from error
    mark, told = content[:_MARK], content[_MARK:]
    if mark != _mark(told) or len(told) % ITEM.itemsize:
        raise StoreError(f"{path}: not a shelf, or damaged: the next delivery of items mends it")
    return Shelf(np.frombuffer(told, ITEM), mark.hex())


def _mark(told: bytes) -> bytes:
    return blake2b(told, digest_size=_MARK).digest()
