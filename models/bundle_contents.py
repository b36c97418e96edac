"""The files of a bundle, from parts and back: what each holds, and what must be true of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from features.catalogue import Catalogue
from models.arrays import Array, Arrays, pack
from models.manifest import Manifest
from models.parts import Parts, Personal, Segments
from models.ranker_features import AFFINITIES, ITEM_STATS
from models.segment_table import GLOBAL, GLOBAL_NAME

ITEMS = "items.json"
SEGMENTS = "segments.json"
ARRAYS = "arrays.npz"
REFERENCE = "reference.json"
PERSONAL = "personal.npz"
SCORER = "scorer.onnx"
RANKER = "ranker.onnx"

LADDER_PART = frozenset((ITEMS, SEGMENTS, ARRAYS, REFERENCE))
"""What the ladder answers from; it stands alone."""

PERSONAL_PART = frozenset((PERSONAL, SCORER, RANKER))
"""What ranks for a shopper: absent where there was too little data; the ranker, where it was
no better than its candidates."""


def contents_of(parts: Parts) -> dict[str, bytes]:
    """Return the content of each file but the manifest."""
    catalogue = parts.catalogue
    items = {"item_id": catalogue.item_ids, "category": catalogue.category.tolist()}
    files = {
        ITEMS: orjson.dumps(items),
        SEGMENTS: orjson.dumps({"names": parts.segments.names}),
        ARRAYS: pack(_arrays(parts.catalogue, parts.segments)),
        REFERENCE: orjson.dumps(dict(parts.reference), option=orjson.OPT_SERIALIZE_NUMPY),
    }
    if parts.personal is not None:
        files[PERSONAL] = pack(_personal_arrays(parts.personal))
        files[SCORER] = parts.personal.scorer
        if parts.personal.ranker is not None:
            files[RANKER] = parts.personal.ranker
    return files


def parts_of(files: Mapping[str, bytes], manifest: Manifest) -> Parts:
    """Return the parts in the files of a bundle.

    Raises `ValueError`, `KeyError` or `TypeError` telling what does not fit.
    """
    arrays = Arrays(files[ARRAYS])
    catalogue = _catalogue(orjson.loads(files[ITEMS]), arrays)
    if len(catalogue) != manifest.items:
        raise ValueError(f"items: expected {manifest.items}, got {len(catalogue)}")
    segments = _segments(_texts(orjson.loads(files[SEGMENTS]), "names"), arrays, len(catalogue))
    arrays.require_empty()
    return Parts(
        catalogue=catalogue,
        segments=segments,
        personal=_personal(files, len(catalogue)),
        reference=orjson.loads(files[REFERENCE]),
        metrics=manifest.metrics,
        parameters=manifest.parameters,
        dataset_version=manifest.dataset_version,
        example_user=manifest.example_user,
    )


def _arrays(catalogue: Catalogue, segments: Segments) -> dict[str, Array]:
    return {
        "price": catalogue.price,
        "in_stock": catalogue.in_stock,
        "popularity": segments.popularity,
        "item_rows": segments.item_rows,
        "shoppers": segments.shoppers,
        "shopper_rows": segments.shopper_rows,
    }


def _personal_arrays(personal: Personal) -> dict[str, Array]:
    return {
        "inputs": personal.inputs,
        "outputs": personal.outputs,
        "item_stats": personal.item_stats,
        "item_codes": personal.item_codes,
    }


def _texts(told: Mapping[str, Any], name: str) -> list[str]:
    texts = told[name]
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise TypeError(f"{name}: expected a list of texts")
    return texts


def _catalogue(told: Mapping[str, Any], arrays: Arrays) -> Catalogue:
    ids, category = _texts(told, "item_id"), _texts(told, "category")
    if not ids or len(set(ids)) != len(ids) or len(category) != len(ids):
        raise ValueError("items: expected at least one, each id once and with a category")
    return Catalogue(
        item_ids=tuple(ids),
        category=np.array(category, np.str_),
        price=arrays.take("price", np.float32, len(ids), numbers=False),  # NaN: not known
        in_stock=arrays.take("in_stock", np.bool_, len(ids)),
        attributes={},
    )


def _segments(names: list[str], arrays: Arrays, items: int) -> Segments:
    if names[GLOBAL : GLOBAL + 1] != [GLOBAL_NAME] or len(set(names)) != len(names):
        raise ValueError(f"segments: expected {GLOBAL_NAME} first, and each name once")
    rows = len(names)
    shoppers = arrays.take("shoppers", np.uint64, None)
    if not (shoppers[1:] > shoppers[:-1]).all():
        raise ValueError("shoppers: expected ascending hashes")
    return Segments(
        names=tuple(names),
        popularity=arrays.take("popularity", np.float32, rows, items, least=0),
        item_rows=arrays.take("item_rows", np.int32, items, least=0, below=rows),
        shoppers=shoppers,
        shopper_rows=arrays.take("shopper_rows", np.uint16, len(shoppers), below=rows),
    )


def _personal(files: Mapping[str, bytes], items: int) -> Personal | None:
    present = files.keys() & PERSONAL_PART
    if not present:
        return None
    if missing := {PERSONAL, SCORER} - present:
        raise ValueError(f"{min(present)}: without {min(missing)}")
    arrays = Arrays(files[PERSONAL])
    inputs = arrays.take("inputs", np.float32, items, None)
    personal = Personal(
        scorer=files[SCORER],
        inputs=inputs,
        outputs=arrays.take("outputs", np.float32, items, inputs.shape[1]),
        ranker=files.get(RANKER),
        item_stats=arrays.take("item_stats", np.float32, items, len(ITEM_STATS)),
        item_codes=arrays.take("item_codes", np.int32, items, AFFINITIES, least=-1),
    )
    arrays.require_empty()
    return personal
