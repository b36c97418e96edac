"""A bundle on disk: everything that serving needs, written whole or not at all, read or refused.

VERSION/manifest.json                 where it came from; size and SHA-256 of every other file
        items.json, segments.json     names
        names.npy                     what people call the items, where that is known
        price.npy, popularity.npy, …      an array each, mapped into memory
        tower.onnx, ranker.onnx, index.faiss, outputs.npy, …
                                      absent where there was too little data, or popular lists
                                      were better
        companion_rows.npy, …         what is bought together, absent where no basket held two
        reference.json, …             what was normal at training, absent where nobody had come

All but the last two are what the ladder answers from, and stand alone: if what ranks is damaged or
was made for other features, and there is no other bundle, they still serve.

JSON, npy without pickle, ONNX, faiss: reading a bundle runs no code that came with it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from features.declared import FEATURE_SET, why_others
from features.errors import InputError
from models.bundle_contents import (
    BASKET_PART,
    LADDER_FILES,
    LADDER_PART,
    PERSONAL_PART,
    contents_of,
    parts_of,
)
from models.bundle_files import BundleFiles
from models.directory import new_directory, replace_file, write_file
from models.errors import BundleError, NewerBundleError
from models.lease import Lease
from models.manifest import MADE_WITH, MANIFEST, FileSum, Manifest, read_manifest
from models.model import Model
from models.parts import Parts
from models.ranker_features import RANKER_FEATURES
from models.reference.stored import REFERENCE_PART
from models.signature import SigningKey, TrustedKeys

_KNOWN = LADDER_FILES | PERSONAL_PART | BASKET_PART | REFERENCE_PART


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a bundle comes from, beside its data: the code, and the version that served then."""

    code_revision: str | None = None
    parent: str | None = None


def write_bundle(
    directory: Path,
    parts: Parts,
    now: datetime | None = None,
    *,
    lineage: Lineage | None = None,
    key: SigningKey | None = None,
) -> str:
    """Write `parts` as a bundle below `directory`, signed if there is a key; return its version.

    It appears whole or, whatever happens, not at all, and only if it can be read back. Raises
    `InputError` for an empty catalogue, `BundleError` for parts that do not fit together or
    where the disk does not take them.
    """
    if not len(parts.items):
        raise InputError("catalogue: expected at least one item; ingest or simulate some first")
    files = contents_of(parts)
    manifest = _manifest(parts, files, now or datetime.now(UTC), lineage or Lineage())
    add_bundle(
        directory,
        manifest if key is None else key.sign(manifest),
        lambda name, path: write_file(path, files[name]),
    )
    return manifest.version


def add_bundle(
    directory: Path,
    manifest: Manifest,
    fetch: Callable[[str, Path], None],
    *,
    anew: bool = False,
) -> None:
    """Add the bundle of a manifest to those below `directory`, whole or not at all.

    `fetch` is handed the name of each file and where to write it. With `anew` it takes the place
    of what lies there. Raises what `fetch` does, or `BundleError` for files that are not what the
    manifest says, and leaves all as it was.
    """
    try:
        with new_directory(directory / manifest.version, anew=anew) as unfinished:
            for name in manifest.files:
                fetch(name, unfinished / name)
            write_file(unfinished / MANIFEST, manifest.to_json())
            _model(unfinished, manifest)
    except OSError as error:
        raise BundleError(f"{directory}: not written: {error.strerror or error}") from error


def sign_bundle(directory: Path, key: SigningKey) -> None:
    """Sign a bundle that is whole; raise `BundleError` if it is not, or the disk is full."""
    read_bundle(directory)
    try:
        replace_file(directory / MANIFEST, key.sign(read_manifest(directory)).to_json())
    except OSError as error:
        raise BundleError(f"{directory}: not signed: {error.strerror or error}") from error


def read_bundle(directory: Path, trusted: TrustedKeys | None = None) -> Model:
    """Return the model in a bundle, verified to the last byte; it holds the bundle as a `Lease`.

    Raises `BundleError` for a file that is missing, superfluous or changed, for features other
    than this program's, for contents that do not fit together, and where there are `trusted`
    keys for a manifest that none of them signed; `NewerBundleError` for files not known.
    """
    lease, manifest = Lease(directory), read_trusted(directory, trusted)
    require_known(manifest)
    present = {path.name for path in directory.iterdir()} - {MANIFEST}
    if extra := present - manifest.files.keys():
        raise BundleError(f"{directory.name}: {', '.join(sorted(extra))} not in the manifest")
    return _model(directory, manifest, lease)


def read_ladder(directory: Path, trusted: TrustedKeys | None = None) -> Model:
    """Return what a refused bundle can still answer from, verified: its ladder, without ranking.

    Raises `BundleError` where that part is damaged, too, or the manifest is not signed as told.
    """
    lease, manifest = Lease(directory), read_trusted(directory, trusted)
    files = {name: told for name, told in manifest.files.items() if name in LADDER_FILES}
    return _model(directory, replace(manifest, files=files), lease, is_whole=False)


def read_trusted(directory: Path, trusted: TrustedKeys | None) -> Manifest:
    """Return a bundle's manifest, signed by one of the `trusted` keys where there are any."""
    manifest = read_manifest(directory)
    if trusted is not None:
        trusted.require(manifest)
    return manifest


def require_known(manifest: Manifest) -> None:
    """Raise `BundleError` if a bundle is of other features or other files than this program's."""
    require_not_newer(manifest)
    if manifest.schema_hash != _schema():
        raise BundleError(
            f"{manifest.version}: made for features {manifest.schema_hash}, "
            f"this program computes {_schema()}; {_why_others(manifest)}"
        )


def require_not_newer(manifest: Manifest) -> None:
    """Raise `NewerBundleError` if a bundle holds a file that this program does not know."""
    if strange := manifest.files.keys() - _KNOWN:
        raise NewerBundleError(f"{MANIFEST}: files: {', '.join(sorted(strange))} not known")


def _schema() -> str:
    """Return what binds a model to this program: the features' hash, and that of the columns."""
    columns = sha256("\n".join(RANKER_FEATURES).encode()).hexdigest()
    return f"{FEATURE_SET.schema_hash}-{columns[:8]}"


def _why_others(manifest: Manifest) -> str:
    if manifest.schema_hash.partition("-")[0] == FEATURE_SET.schema_hash:
        return "its ranker is of another version of this program: train anew"
    made_with, codes = manifest.parameters.get(MADE_WITH), manifest.feature_codes or {}
    return why_others(made_with, codes, "train anew")


def _model(
    directory: Path, manifest: Manifest, lease: Lease | None = None, *, is_whole: bool = True
) -> Model:
    if missing := LADDER_PART - manifest.files.keys():
        raise BundleError(f"{MANIFEST}: files: {', '.join(sorted(missing))} missing")
    files = BundleFiles(directory, manifest.files)
    try:
        parts = parts_of(files, manifest)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{manifest.version}: contents do not fit: {error}") from error
    return Model(parts, manifest.version, manifest.created, is_whole=is_whole, held=lease)


def _manifest(
    parts: Parts, files: Mapping[str, bytes], now: datetime, lineage: Lineage
) -> Manifest:
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
        code_revision=lineage.code_revision,
        parent=lineage.parent,
        feature_codes=FEATURE_SET.codes,
    ).versioned()


def _plain(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what reading back the JSON of `told` will give."""
    plain: Mapping[str, Any] = orjson.loads(
        orjson.dumps(dict(told), option=orjson.OPT_SERIALIZE_NUMPY)
    )
    return plain
