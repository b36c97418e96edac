"""The items of a model as columns, one row each: what a bundle carries of the catalogue.

Columns may be mapped files: nothing here needs an object for each item.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self, overload

import numpy as np
import numpy.typing as npt

from features.catalogue import Catalogue, numbered
from features.ids import Hashes, stable_hashes
from features.shelf import Shelf

NAME = "name"
"""The attribute that names an item."""

LONGEST_NAME = 80


class Texts(Sequence[str]):
    """Texts in one array of UTF-8, decoded when they are asked for."""

    __slots__ = ("packed",)

    def __init__(self, packed: npt.NDArray[np.bytes_]) -> None:
        """Read from `packed`, bytes[n]."""
        self.packed = packed

    @classmethod
    def of(cls, texts: Sequence[str]) -> Self:
        """Return `texts`, none of which may end with a zero character."""
        return cls(np.array([text.encode() for text in texts], np.bytes_))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.packed)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> "Texts": ...
    def __getitem__(self, row: int | slice) -> "str | Texts":
        """Return the text of a row, or those of a slice."""
        if isinstance(row, slice):
            return Texts(self.packed[row])
        text: bytes = self.packed[row]
        return text.decode()


@dataclass(frozen=True, slots=True)
class ItemTable:
    """`n` items in the order of their rows; every column but `categories` has `n` entries.

    `names` are what people call the items, empty where that is not known.

    `hashes` uint64 are the stable hashes of the ids, ascending, and `hash_rows` int32 the row of
    each; `category` int32 numbers `categories`; `price` float32 is NaN where it is not known.
    """

    item_ids: Texts
    hashes: Hashes
    hash_rows: npt.NDArray[np.int32]
    categories: tuple[str, ...]
    category: npt.NDArray[np.int32]
    price: npt.NDArray[np.float32]
    in_stock: npt.NDArray[np.bool_]
    names: Texts

    @classmethod
    def of(cls, catalogue: Catalogue) -> Self:
        """Return the items of `catalogue`."""
        hashes = stable_hashes(catalogue.item_ids)
        order = np.argsort(hashes, kind="stable")
        names, category = numbered(catalogue.category)
        return cls(
            Texts.of(catalogue.item_ids),
            hashes[order],
            order.astype(np.int32),
            tuple(names),
            category,
            catalogue.price,
            catalogue.in_stock,
            _names(catalogue),
        )

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.item_ids)

    def stocked(self, shelf: Shelf) -> Self:
        """Return the same items with the prices and the stock of a shelf, as far as it tells."""
        rows = self.hash_rows
        told = self.price.take(rows), self.in_stock.take(rows)
        prices, in_stock = shelf.over(self.hashes, *told)
        if prices is told[0]:
            return self
        by_row = np.argsort(rows)
        return replace(self, price=prices.take(by_row), in_stock=in_stock.take(by_row))


def unnamed(count: int) -> Texts:
    """Return no names of so many items."""
    return Texts(np.zeros(count, "S1"))


def _names(catalogue: Catalogue) -> Texts:
    """Return the attribute `name` of the items, cut to what a sentence can hold."""
    told = catalogue.attributes.get(NAME)
    if told is None or np.issubdtype(told.dtype, np.number):
        return unnamed(len(catalogue))
    return Texts.of([str(each)[:LONGEST_NAME].rstrip("\0") for each in told.tolist()])
