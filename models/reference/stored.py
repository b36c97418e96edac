"""The reference's files in a bundle: absent where there were no events, and in old bundles."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from models.arrays import Array
from models.bundle_files import BundleFiles
from models.errors import BundleError
from models.manifest import read_manifest
from models.reference.rows import SLOTS, Rows

NAMES = "reference.json"
NUMBERS, WORDS = "reference_numbers", "reference_words"
SHOPPERS, SLOT = "reference_shoppers", "reference_slots"

REFERENCE_PART = frozenset((NAMES, *(f"{name}.npy" for name in (NUMBERS, WORDS, SHOPPERS, SLOT))))


def files_of(rows: Rows | None) -> tuple[dict[str, bytes], dict[str, Array]]:
    """Return the JSON files and the arrays that hold `rows`."""
    if rows is None:
        return {}, {}
    numbers = {name: each for name, each in rows.values.items() if each.dtype != np.object_}
    words = {name: each for name, each in rows.values.items() if each.dtype == np.object_}
    levels = {name: sorted({*each.tolist()} - {None}) for name, each in words.items()}
    codes = [_codes(words[name], told) for name, told in levels.items()]
    count = len(rows)
    arrays: dict[str, Array] = {
        NUMBERS: _beside(list(numbers.values()), count, np.float32),
        WORDS: _beside(codes, count, np.int32),
        SHOPPERS: np.unique(rows.shoppers, return_inverse=True)[1].astype(np.int32),
        SLOT: rows.slots.astype(np.int16),
    }
    return {NAMES: orjson.dumps({"numbers": list(numbers), "words": levels})}, arrays


def rows_of(files: BundleFiles) -> Rows | None:
    """Return the rows in the files of a bundle, None where it has none.

    Raises `ValueError`, `KeyError` or `TypeError` telling what does not fit.
    """
    if f"{NUMBERS}.npy" not in files:
        return None
    told = files.json(NAMES)
    names, levels = _names(told)
    numbers = files.array(NUMBERS, np.float32, None, len(names), numbers=False)  # NaN: missing
    count = len(numbers)
    words = files.array(WORDS, np.int32, count, len(levels), least=-1)
    shoppers = files.array(SHOPPERS, np.int32, count, least=0)
    slots = files.array(SLOT, np.int16, count, least=0, below=SLOTS)
    values: dict[str, npt.NDArray[Any]] = dict(zip(names, numbers.T, strict=True))
    for column, (name, each) in enumerate(levels.items()):
        if count and words[:, column].max() >= len(each):
            raise ValueError(f"{WORDS}: {name}: expected less than {len(each)}")
        values[name] = np.array([*each, None], object)[words[:, column]]
    return Rows(shoppers.astype(np.uint64), slots.astype(np.int64), values)


def read_reference(directory: Path) -> Rows:
    """Return the reference of a bundle, verified, without opening the model.

    Raises `BundleError` where it is damaged, and where there is none: in bundles of earlier
    versions, and of a shop where nobody had come.
    """
    manifest = read_manifest(directory)
    sums = {name: told for name, told in manifest.files.items() if name in REFERENCE_PART}
    try:
        rows = rows_of(BundleFiles(directory, sums))
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{manifest.version}: reference does not fit: {error}") from error
    if rows is None or not len(rows):
        raise BundleError(
            f"{manifest.version}: holds no reference to tell drift by; train anew, with events"
        )
    return rows


def _names(told: Mapping[str, Any]) -> tuple[list[str], dict[str, list[str]]]:
    names, words = told["numbers"], told["words"]
    if not isinstance(names, list) or not isinstance(words, dict):
        raise TypeError(f"{NAMES}: expected numbers, a list, and words, lists by name")
    texts = [*names, *(each for levels in words.values() for each in levels)]
    if not all(isinstance(each, str) for each in texts):
        raise TypeError(f"{NAMES}: expected texts")
    return names, words


def _codes(words: npt.NDArray[Any], levels: list[str]) -> npt.NDArray[np.int32]:
    """Return the number of each word, -1 of None."""
    places: dict[str | None, int] = {each: at for at, each in enumerate(levels)}
    return np.array([places.get(each, -1) for each in words.tolist()], np.int32)


def _beside(columns: list[npt.NDArray[Any]], count: int, kind: npt.DTypeLike) -> Array:
    return np.column_stack(columns).astype(kind) if columns else np.empty((count, 0), kind)
