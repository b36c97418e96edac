"""A bundle on disk: everything that serving needs, written whole or not at all, read or refused.

VERSION/manifest.json                 where it came from; size and SHA-256 of every other file
        items, segments, reference.json   names, and what was normal at training
        price.npy, popularity.npy, …      an array each, mapped into memory
        tower.onnx, ranker.onnx, index.faiss, outputs.npy, …
                                      absent where there was too little data
        companion_rows.npy, …         what is bought together, absent where no basket held two

All but the last two are what the ladder answers from, and stand alone: if what ranks is damaged or
was made for other features, and there is no other bundle, they still serve.

JSON, npy without pickle, ONNX, faiss: reading a bundle runs no code that came with it.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from features.declared import FEATURE_SET
from features.errors import InputError
from models.bundle_contents import BASKET_PART, LADDER_PART, PERSONAL_PART, contents_of, parts_of
from models.bundle_files import BundleFiles
from models.directory import write_directory
from models.errors import BundleError
from models.manifest import MANIFEST, FileSum, Manifest
from models.model import Model
from models.parts import Parts
from models.ranker_features import RANKER_FEATURES


def write_bundle(directory: Path, parts: Parts, now: datetime | None = None) -> str:
    """Write `parts` as a bundle below `directory` and return its version.

    It appears whole or, whatever happens, not at all, and only if it can be read back. Raises
    `InputError` for an empty catalogue, `BundleError` for parts that do not fit together or
    where the disk does not take them.
    """
    if not len(parts.items):
        raise InputError("catalogue: expected at least one item; ingest or simulate some first")
    files = contents_of(parts)
    manifest = _manifest(parts, files, now or datetime.now(UTC))
    files[MANIFEST] = manifest.to_json()
    try:
        write_directory(
            directory / manifest.version, files, lambda written: _model(written, manifest)
        )
    except OSError as error:
        raise BundleError(f"{directory}: not written: {error.strerror or error}") from error
    return manifest.version


def read_manifest(directory: Path) -> Manifest:
    """Return a bundle's manifest; raise `BundleError` if there is none that can be believed."""
    try:
        content = (directory / MANIFEST).read_bytes()
    except OSError as error:
        raise BundleError(f"{MANIFEST}: {error.strerror} ({directory.name})") from error
    manifest = Manifest.from_json(content)
    if manifest.version != directory.name:
        raise BundleError(f"{MANIFEST}: of {manifest.version}, but it lies in {directory.name}")
    return manifest


def read_bundle(directory: Path) -> Model:
    """Return the model in a bundle, verified to the last byte.

    Raises `BundleError` for a file that is missing, superfluous or changed, for features other
    than this program's, and for contents that do not fit together.
    """
    manifest = read_manifest(directory)
    if manifest.schema_hash != _schema():
        raise BundleError(
            f"{directory.name}: made for features {manifest.schema_hash}, "
            f"this program computes {_schema()}; train anew"
        )
    _check_names(directory, manifest)
    return _model(directory, manifest)


def read_ladder(directory: Path) -> Model:
    """Return what a refused bundle can still answer from, verified: its ladder, without ranking.

    Raises `BundleError` where that part is damaged, too.
    """
    manifest = read_manifest(directory)
    files = {name: told for name, told in manifest.files.items() if name in LADDER_PART}
    return _model(directory, replace(manifest, files=files), is_whole=False)


def _schema() -> str:
    """Return what binds a model to this program: the features' hash, and that of the columns."""
    columns = sha256("\n".join(RANKER_FEATURES).encode()).hexdigest()
    return f"{FEATURE_SET.schema_hash}-{columns[:8]}"


def _model(directory: Path, manifest: Manifest, *, is_whole: bool = True) -> Model:
    if missing := LADDER_PART - manifest.files.keys():
        raise BundleError(f"{MANIFEST}: files: {', '.join(sorted(missing))} missing")
    files = BundleFiles(directory, manifest.files)
    try:
        parts = parts_of(files, manifest)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{manifest.version}: contents do not fit: {error}") from error
    return Model(parts, manifest.version, manifest.created, is_whole=is_whole)


def _manifest(parts: Parts, files: Mapping[str, bytes], now: datetime) -> Manifest:
    return Manifest(
        version="",
        created=now.astimezone(UTC).isoformat(timespec="seconds"),
        schema_hash=_schema(),
        dataset_version=parts.dataset_version,
        items=len(parts.items),
        files={name: FileSum.of(content) for name, content in files.items()},
        metrics=_plain(parts.metrics),
        parameters=_plain(parts.parameters),
        example_user=parts.example_user,
    ).versioned()


def _plain(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what reading back the JSON of `told` will give."""
    plain: Mapping[str, Any] = orjson.loads(
        orjson.dumps(dict(told), option=orjson.OPT_SERIALIZE_NUMPY)
    )
    return plain


def _check_names(directory: Path, manifest: Manifest) -> None:
    if strange := manifest.files.keys() - LADDER_PART - PERSONAL_PART - BASKET_PART:
        raise BundleError(f"{MANIFEST}: files: {', '.join(sorted(strange))} not known")
    present = {path.name for path in directory.iterdir()} - {MANIFEST}
    if extra := present - manifest.files.keys():
        raise BundleError(f"{directory.name}: {', '.join(sorted(extra))} not in the manifest")
