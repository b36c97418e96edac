"""The files of a bundle, from parts and back: what each holds, and what must be true of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from models.arrays import Array, pack
from models.bundle_files import BundleFiles
from models.item_index import ItemIndex
from models.item_table import ItemTable, Texts, unnamed
from models.manifest import Manifest
from models.parts import Companions, Parts, Personal, Segments
from models.ranker_features import AFFINITIES, ITEM_STATS
from models.reference.stored import files_of, rows_of
from models.segment_table import GLOBAL, GLOBAL_NAME

ITEMS = "items.json"
SEGMENTS = "segments.json"
TOWER = "tower.onnx"
RANKER = "ranker.onnx"
INDEX = "index.faiss"

_LADDER_ARRAYS = (
    "item_ids",
    "item_hashes",
    "hash_rows",
    "category",
    "price",
    "in_stock",
    "popularity",
    "item_rows",
    "shoppers",
    "shopper_rows",
)
_PERSONAL_ARRAYS = (
    "inputs",
    "outputs",
    "implicit_inputs",
    "implicit_outputs",
    "item_stats",
    "item_codes",
)

_BASKET_ARRAYS = ("companion_offsets", "companion_rows", "companion_scores")

LADDER_PART = frozenset((ITEMS, SEGMENTS, *(f"{name}.npy" for name in _LADDER_ARRAYS)))
"""What the ladder answers from; it stands alone."""

NAMES = "names.npy"
"""What people call the items: absent where the catalogue does not say."""

POPULAR = "popular.npy"
"""What may be called popular in which segment: absent in bundles of earlier versions."""

LADDER_FILES = LADDER_PART | {NAMES, POPULAR}

_NEEDED = frozenset((TOWER, *(f"{name}.npy" for name in _PERSONAL_ARRAYS)))
MET = "met.npy"
PERSONAL_PART = _NEEDED | {MET, RANKER, INDEX}
"""What ranks for a shopper: absent where there was too little data, or popular lists were better.
The ranker is absent where it was no better than its candidates, the index where there are few
items, and how many met each item in bundles of earlier versions."""

BASKET_PART = frozenset(f"{name}.npy" for name in _BASKET_ARRAYS)
"""What is bought together: absent where no basket held two items."""


def contents_of(parts: Parts) -> dict[str, bytes]:
    """Return the content of each file but the manifest."""
    files = {
        ITEMS: orjson.dumps({"categories": parts.items.categories}),
        SEGMENTS: orjson.dumps({"names": parts.segments.names}),
    }
    columns = _ladder_columns(parts.items, parts.segments)
    names, arrays = files_of(parts.reference)
    files |= names
    arrays |= dict(zip(_LADDER_ARRAYS, columns, strict=True))
    if (parts.items.names.packed != b"").any():
        files[NAMES] = pack(parts.items.names.packed)
    if parts.segments.popular is not None:
        files[POPULAR] = pack(parts.segments.popular)
    if (told := parts.companions) is not None:
        arrays |= zip(_BASKET_ARRAYS, (told.offsets, told.rows, told.scores), strict=True)
    if (personal := parts.personal) is not None:
        arrays |= {name: getattr(personal, name) for name in _PERSONAL_ARRAYS}
        files[TOWER] = personal.tower
        if personal.met is not None:
            files[MET] = pack(personal.met)
        if personal.ranker is not None:
            files[RANKER] = personal.ranker
        if personal.index is not None:
            files[INDEX] = personal.index.content()
    return files | {f"{name}.npy": pack(array) for name, array in arrays.items()}


def parts_of(files: BundleFiles, manifest: Manifest) -> Parts:
    """Return the parts in the files of a bundle.

    Raises `ValueError`, `KeyError` or `TypeError` telling what does not fit.
    """
    items = _items(files, manifest.items)
    return Parts(
        items=items,
        segments=_segments(files, len(items)),
        personal=_personal(files, len(items)),
        companions=_companions(files, len(items)),
        reference=rows_of(files),
        metrics=manifest.metrics,
        parameters=manifest.parameters,
        dataset_version=manifest.dataset_version,
        example_user=manifest.example_user,
    )


def _ladder_columns(items: ItemTable, segments: Segments) -> tuple[Array, ...]:
    """Return the arrays in the order of `_LADDER_ARRAYS`."""
    return (
        items.item_ids.packed,
        items.hashes,
        items.hash_rows,
        items.category,
        items.price,
        items.in_stock,
        segments.popularity,
        segments.item_rows,
        segments.shoppers,
        segments.shopper_rows,
    )


def _texts(told: Mapping[str, Any], name: str) -> list[str]:
    texts = told[name]
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise TypeError(f"{name}: expected a list of texts")
    return texts


def _items(files: BundleFiles, count: int) -> ItemTable:
    categories = _texts(files.json(ITEMS), "categories")
    ids = files.array("item_ids", np.bytes_, count)
    hashes = files.array("item_hashes", np.uint64, count)
    rows = files.array("hash_rows", np.int32, count, least=0, below=count)
    if not count or not (hashes[1:] > hashes[:-1]).all():
        raise ValueError("items: expected at least one, and each id once")
    has_row = np.zeros(count, np.bool_)
    has_row[rows] = True
    if not has_row.all():
        raise ValueError("hash_rows: expected each row once")
    return ItemTable(
        item_ids=Texts(ids),
        hashes=hashes,
        hash_rows=rows,
        categories=tuple(categories),
        category=files.array("category", np.int32, count, least=0, below=len(categories)),
        price=files.array("price", np.float32, count, numbers=False),  # NaN: not known
        in_stock=files.array("in_stock", np.bool_, count),
        names=Texts(files.array("names", np.bytes_, count)) if NAMES in files else unnamed(count),
    )


def _segments(files: BundleFiles, items: int) -> Segments:
    names = _texts(files.json(SEGMENTS), "names")
    if names[GLOBAL : GLOBAL + 1] != [GLOBAL_NAME] or len(set(names)) != len(names):
        raise ValueError(f"segments: expected {GLOBAL_NAME} first, and each name once")
    rows = len(names)
    shoppers = files.array("shoppers", np.uint64, None)
    if not (shoppers[1:] > shoppers[:-1]).all():
        raise ValueError("shoppers: expected ascending hashes")
    return Segments(
        names=tuple(names),
        popularity=files.array("popularity", np.float32, rows, items, least=0),
        item_rows=files.array("item_rows", np.int32, items, least=0, below=rows),
        shoppers=shoppers,
        shopper_rows=files.array("shopper_rows", np.uint16, len(shoppers), below=rows),
        popular=_popular(files, rows, items) if POPULAR in files else None,
    )


def _popular(files: BundleFiles, segments: int, items: int) -> Array:
    bits = files.array("popular", np.uint8, segments, -(-items // 8))
    if items % 8 and (bits[:, -1] >> items % 8).any():
        raise ValueError(f"popular: expected {items} bits a segment, and none behind them")
    return bits


def _companions(files: BundleFiles, items: int) -> Companions | None:
    present = {name for name in BASKET_PART if name in files}
    if not present:
        return None
    if missing := BASKET_PART - present:
        raise ValueError(f"{min(present)}: without {min(missing)}")
    rows = files.array("companion_rows", np.int32, None, least=0, below=items)
    offsets = files.array("companion_offsets", np.int64, items + 1, least=0, below=len(rows) + 1)
    if offsets[0] != 0 or offsets[-1] != len(rows) or (np.diff(offsets) < 0).any():
        raise ValueError(f"companion_offsets: expected to rise from 0 to {len(rows)}")
    scores = files.array("companion_scores", np.float32, len(rows), least=0)
    return Companions(offsets, rows, scores)


def _personal(files: BundleFiles, items: int) -> Personal | None:
    present = {name for name in PERSONAL_PART if name in files}
    if not present:
        return None
    if missing := _NEEDED - present:
        raise ValueError(f"{min(present)}: without {min(missing)}")
    inputs = files.array("inputs", np.float32, items, None)
    rank = inputs.shape[1]
    implicit = files.array("implicit_inputs", np.float32, items, None)
    return Personal(
        tower=files.content(TOWER),
        inputs=inputs,
        outputs=files.array("outputs", np.float32, items, rank),
        implicit_inputs=implicit,
        implicit_outputs=files.array("implicit_outputs", np.float32, items, implicit.shape[1]),
        ranker=files.content(RANKER) if RANKER in files else None,
        item_stats=files.array("item_stats", np.float32, items, len(ITEM_STATS)),
        item_codes=files.array("item_codes", np.int32, items, AFFINITIES, least=-1),
        met=files.array("met", np.int32, items, least=0) if MET in files else None,
        index=ItemIndex.open(files.path(INDEX), items, rank) if INDEX in files else None,
    )
