"""A bundle on disk: everything that serving needs, written whole or not at all, read or refused.

VERSION/manifest.json   where it came from; size and SHA-256 of every other file
        items.json      ids and categories          segments.json   names of the segments
        arrays.npz      all numbers, by name        reference.json  what was normal at training
        scorer.onnx, ranker.onnx                    absent where there was too little data

JSON, numpy without pickle, and ONNX: reading a bundle runs no code that came with it.
"""

import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from features.catalogue import Catalogue
from features.definitions import schema_hash
from features.errors import InputError
from models.errors import BundleError
from models.manifest import MANIFEST, FileSum, Manifest
from models.model import Model
from models.parts import Parts, Personal, Segments
from models.ranker_features import AFFINITIES, ITEM_STATS

ITEMS = "items.json"
SEGMENTS = "segments.json"
ARRAYS = "arrays.npz"
REFERENCE = "reference.json"
SCORER = "scorer.onnx"
RANKER = "ranker.onnx"

_REQUIRED = frozenset((ITEMS, SEGMENTS, ARRAYS, REFERENCE))
_OPTIONAL = frozenset((SCORER, RANKER))
_UNFINISHED = ".writing-"

Array = npt.NDArray[Any]


def write_bundle(directory: Path, parts: Parts, now: datetime | None = None) -> str:
    """Write `parts` as a bundle below `directory` and return its version.

    A version is the moment and the content: `20261123T101500Z-1f2e3d4c`. It appears whole or,
    whatever happens, not at all. Raises `InputError` for an empty catalogue, `BundleError`
    where the disk does not take it.
    """
    if not len(parts.catalogue):
        raise InputError("catalogue: expected at least one item; ingest or simulate some first")
    files = _files(parts)
    now = now or datetime.now(UTC)
    digest = sha256(b"".join(sha256(files[name]).digest() for name in sorted(files))).hexdigest()
    version = f"{now:%Y%m%dT%H%M%SZ}-{digest[:8]}"
    files[MANIFEST] = _manifest(parts, files, version, now).to_json()
    try:
        _write(directory, version, files)
    except OSError as error:
        raise BundleError(f"{directory}: not written: {error.strerror or error}") from error
    return version


def read_manifest(directory: Path) -> Manifest:
    """Return a bundle's manifest; raise `BundleError` if there is none that can be believed."""
    manifest = Manifest.from_json(_content(directory / MANIFEST))
    if manifest.version != directory.name:
        raise BundleError(f"{MANIFEST}: of {manifest.version}, but it lies in {directory.name}")
    return manifest


def read_bundle(directory: Path) -> Model:
    """Return the model in a bundle, verified to the last byte.

    Raises `BundleError` for a file that is missing, superfluous or changed, for features other
    than this program's, and for contents that do not fit together.
    """
    manifest = read_manifest(directory)
    if manifest.schema_hash != schema_hash():
        raise BundleError(
            f"{directory.name}: made for features {manifest.schema_hash}, "
            f"this program computes {schema_hash()}; train anew"
        )
    parts = _parts(_verified(directory, manifest), manifest)
    return Model(parts, manifest.version, manifest.created)


def _files(parts: Parts) -> dict[str, bytes]:
    catalogue = parts.catalogue
    items = {"item_id": catalogue.item_ids, "category": catalogue.category.tolist()}
    files = {
        ITEMS: orjson.dumps(items),
        SEGMENTS: orjson.dumps({"names": parts.segments.names}),
        ARRAYS: _packed(_arrays(parts)),
        REFERENCE: orjson.dumps(dict(parts.reference), option=orjson.OPT_SERIALIZE_NUMPY),
    }
    if parts.personal is not None:
        files[SCORER] = parts.personal.scorer
        if parts.personal.ranker is not None:
            files[RANKER] = parts.personal.ranker
    return files


def _arrays(parts: Parts) -> dict[str, Array]:
    segments, personal = parts.segments, parts.personal
    arrays: dict[str, Array] = {
        "price": parts.catalogue.price,
        "in_stock": parts.catalogue.in_stock,
        "popularity": segments.popularity,
        "item_rows": segments.item_rows,
        "shoppers": segments.shoppers,
        "shopper_rows": segments.shopper_rows,
    }
    if personal is not None:
        arrays |= {
            "inputs": personal.inputs,
            "outputs": personal.outputs,
            "item_stats": personal.item_stats,
            "item_codes": personal.item_codes,
        }
    return arrays


def _packed(arrays: Mapping[str, Array]) -> bytes:
    """Return the arrays as an npz, without the times that would make equal ones differ."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
    return packed.getvalue()


def _manifest(parts: Parts, files: Mapping[str, bytes], version: str, now: datetime) -> Manifest:
    return Manifest(
        version=version,
        created=now.isoformat(timespec="seconds"),
        schema_hash=schema_hash(),
        dataset_version=parts.dataset_version,
        items=len(parts.catalogue),
        files={
            name: FileSum(len(content), sha256(content).hexdigest())
            for name, content in files.items()
        },
        metrics=parts.metrics,
        parameters=parts.parameters,
        example_user=parts.example_user,
    )


def _write(directory: Path, version: str, files: Mapping[str, bytes]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=directory))
    try:
        for name, content in files.items():
            with (unfinished / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        unfinished.chmod(0o755)
        if not (directory / version).exists():  # the same content within the same second
            unfinished.rename(directory / version)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path.name}: {error.strerror} ({path.parent.name})") from error


def _verified(directory: Path, manifest: Manifest) -> dict[str, bytes]:
    """Return the files by name, each as the manifest says."""
    if missing := _REQUIRED - manifest.files.keys():
        raise BundleError(f"{MANIFEST}: files: {', '.join(sorted(missing))} missing")
    if strange := manifest.files.keys() - _REQUIRED - _OPTIONAL:
        raise BundleError(f"{MANIFEST}: files: {', '.join(sorted(strange))} not known")
    files = {}
    for name, told in manifest.files.items():
        content = _content(directory / name)
        if len(content) != told.size:
            raise BundleError(f"{name}: expected {told.size} bytes, got {len(content)}")
        if sha256(content).hexdigest() != told.sha256:
            raise BundleError(f"{name}: changed since it was written (checksum)")
        files[name] = content
    present = {path.name for path in directory.iterdir()} - {MANIFEST}
    if extra := present - files.keys():
        raise BundleError(f"{directory.name}: {', '.join(sorted(extra))} not in the manifest")
    return files


def _parts(files: Mapping[str, bytes], manifest: Manifest) -> Parts:
    try:
        items, names = orjson.loads(files[ITEMS]), orjson.loads(files[SEGMENTS])["names"]
        arrays = _unpacked(files[ARRAYS])
        count = len(items["item_id"])
        catalogue = Catalogue(
            tuple(items["item_id"]),
            np.array(items["category"], np.str_),
            arrays.take("price", np.float32, count, finite=False),
            arrays.take("in_stock", np.bool_, count),
            {},
        )
        segments = Segments(
            names=tuple(names),
            popularity=arrays.take("popularity", np.float32, len(names), count),
            item_rows=arrays.take("item_rows", np.int32, count, below=len(names)),
            shoppers=arrays.take("shoppers", np.uint64, None),
            shopper_rows=arrays.take("shopper_rows", np.uint16, None, below=len(names)),
        )
        personal = _personal(files, arrays, count)
    except (KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise BundleError(f"{manifest.version}: contents do not fit: {error}") from error
    if count != manifest.items or len(segments.shoppers) != len(segments.shopper_rows):
        raise BundleError(f"{manifest.version}: tables of different lengths")
    return Parts(
        catalogue=catalogue,
        segments=segments,
        personal=personal,
        reference=orjson.loads(files[REFERENCE]),
        metrics=manifest.metrics,
        parameters=manifest.parameters,
        dataset_version=manifest.dataset_version,
        example_user=manifest.example_user,
    )


def _personal(files: Mapping[str, bytes], arrays: "_Arrays", count: int) -> Personal | None:
    if SCORER not in files:
        return None
    return Personal(
        scorer=files[SCORER],
        inputs=arrays.take("inputs", np.float32, count, None),
        outputs=arrays.take("outputs", np.float32, count, None),
        ranker=files.get(RANKER),
        item_stats=arrays.take("item_stats", np.float32, count, len(ITEM_STATS)),
        item_codes=arrays.take("item_codes", np.int32, count, AFFINITIES),
    )


class _Arrays:
    """Arrays by name, handed out once they are what they should be."""

    def __init__(self, read: Callable[[str], Array]) -> None:
        self._read = read

    def take(
        self,
        name: str,
        kind: npt.DTypeLike,
        *shape: int | None,
        finite: bool = True,
        below: int | None = None,
    ) -> Array:
        array = self._read(name)
        fits = len(array.shape) == len(shape) and all(
            wanted is None or size == wanted
            for size, wanted in zip(array.shape, shape, strict=True)
        )
        if array.dtype != kind or not fits:
            wanted = f"{np.dtype(kind)} {shape}"
            raise ValueError(f"{name}: expected {wanted}, got {array.dtype} {array.shape}")
        if finite and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name}: holds what is no number")
        if below is not None and array.size and not 0 <= array.min() <= array.max() < below:
            raise ValueError(f"{name}: expected 0 to {below - 1}")
        array.flags.writeable = False
        return array


def _unpacked(content: bytes) -> _Arrays:
    archive = np.load(io.BytesIO(content), allow_pickle=False)
    return _Arrays(archive.__getitem__)
