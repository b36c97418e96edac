"""The items of the store as parallel columns: what training reads and a bundle carries."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Catalogue:
    """`n` items, in a fixed order; every column has `n` rows.

    `attributes` holds the remaining columns by name: text (dtype object or U, "" for unknown)
    or numbers (float32, NaN for unknown).
    """

    item_ids: tuple[str, ...]
    category: npt.NDArray[np.str_]
    price: npt.NDArray[np.float32]
    in_stock: npt.NDArray[np.bool_]
    attributes: Mapping[str, npt.NDArray[np.generic]]

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.item_ids)
