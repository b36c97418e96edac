"""What training hands to serving, before it is written as a bundle."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.ids import Hashes
from models.item_index import ItemIndex
from models.item_table import ItemTable
from models.reference.rows import Rows as Reference

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint8]
"""Eight items a byte, the first of them the lowest bit."""

FORGOTTEN_MS = "forgotten_ms"
"""The parameter that says when the last forgetting was noted that training knew of."""

LEARNT_UNTIL_MS = "learnt_until_ms"
"""The parameter that says behind which moment nothing was learnt from."""


@dataclass(frozen=True, slots=True)
class Segments:
    """Groups of shoppers, one row each; row 0 is everybody and is named `global`.

    A *taste* row (`country=Italy,type=Red`) holds shoppers by what they liked, a *market* row
    (`market=FR`) by where they live.
    """

    names: tuple[str, ...]
    popularity: Floats
    """float32[rows, items]: shrunk, decayed popularity; the larger the better, never negative."""
    item_rows: npt.NDArray[np.int32]
    """int32[items]: the taste row an item speaks for, 0 for none."""
    shoppers: Hashes
    """uint64[shoppers]: stable hashes of user ids, sorted."""
    shopper_rows: npt.NDArray[np.uint16]
    """uint16[shoppers]: the row of each of `shoppers`."""
    popular: Bits | None = None
    """uint8[rows, ⌈items / 8⌉]: which items may be called popular in a row, see
    `models.popular_items`; None in bundles of earlier versions."""


@dataclass(frozen=True, slots=True)
class Personal:
    """The personal part: absent where there was too little to learn from, or popularity is better.

    An item's score for a shopper is `outputs[item] @ user`.
    """

    tower: bytes
    """ONNX: `items` int64[B, H] (rows, -1 pads), `grades` float32[B, H] (0 pads) and `inputs`
    → `user` float32[B, rank]. The table is handed in, so that it need not be loaded twice."""
    inputs: Floats
    """float32[items, rank]: of the items a shopper met."""
    outputs: Floats
    """float32[items, rank]: of the items a shopper may be shown."""
    implicit_inputs: Floats
    """float32[items, rank]: of the items a shopper met, whatever their grades; for the ranker."""
    implicit_outputs: Floats
    """float32[items, rank]: of the items they may meet."""
    ranker: bytes | None
    """ONNX: `features` float32[M, ranker features] → `score` float32[M, 1]; None where the
    ranker did not beat its candidates."""
    item_stats: Floats
    """float32[items, len(models.ranker_features.ITEM_STATS)]: what the ranker sees of an item."""
    item_codes: npt.NDArray[np.int32]
    """int32[items, models.ranker_features.AFFINITIES]: attribute values by number, -1 unknown."""
    met: npt.NDArray[np.int32] | None = None
    """int32[items]: how many shoppers met each item; None in bundles of earlier versions."""
    index: ItemIndex | None = None
    """Of `outputs`, where there are so many that scoring each would take too long."""


@dataclass(frozen=True, slots=True)
class Companions:
    """What is bought with each item: of item n, `rows[offsets[n]:offsets[n + 1]]`, best first."""

    offsets: Rows
    """int64[items + 1]."""
    rows: npt.NDArray[np.int32]
    """int32[n]: item rows, never the item itself."""
    scores: Floats
    """float32[n], above 0: see `models.baskets`."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything a bundle carries. Items are rows of `items`."""

    items: ItemTable
    segments: Segments
    personal: Personal | None
    companions: Companions | None
    """None where no basket held two items."""
    reference: Reference | None
    """What was normal, to tell drift by; None where nobody had come."""
    metrics: Mapping[str, Any]
    """What evaluation measured, JSON-able."""
    parameters: Mapping[str, Any]
    """What training was told and chose, JSON-able."""
    dataset_version: str
    example_user: str | None
    """A shopper the model knows well, for the first request a newcomer tries."""


def forgotten_ms(parameters: Mapping[str, Any]) -> int:
    """Return when the last forgetting was noted that training knew of, 0 where it knew of none."""
    return _milliseconds(parameters, FORGOTTEN_MS)


def learnt_until_ms(parameters: Mapping[str, Any]) -> int:
    """Return behind which moment nothing was learnt from, 0 where an earlier version trained."""
    return _milliseconds(parameters, LEARNT_UNTIL_MS)


def _milliseconds(parameters: Mapping[str, Any], name: str) -> int:
    told = parameters.get(name)
    return told if isinstance(told, int) else 0
