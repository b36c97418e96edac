"""The items of the store as parallel columns: what training reads and a bundle carries."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Catalogue:
    """`n` items, in a fixed order; every column has `n` rows.

    `category` is text (dtype object or U, "" for unknown). `attributes` holds the remaining columns
    by name: text likewise, or numbers (float32, NaN for unknown).
    """

    item_ids: tuple[str, ...]
    category: npt.NDArray[np.generic]
    price: npt.NDArray[np.float32]
    in_stock: npt.NDArray[np.bool_]
    attributes: Mapping[str, npt.NDArray[np.generic]]

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.item_ids)


def numbered(column: npt.NDArray[np.generic]) -> tuple[list[str], npt.NDArray[np.int32]]:
    """Return the values of a text column in order, and the number of each row's.

    An array of texts would be as wide as the longest of them.
    """
    text: list[str] = column.tolist()
    values = sorted({*text})
    numbers = {value: number for number, value in enumerate(values)}
    return values, np.fromiter(map(numbers.__getitem__, text), np.int32, len(text))
