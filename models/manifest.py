"""What a bundle says of itself: where it came from, and the checksum of every file in it.

A version is the moment and the content, `20261123T101500Z-1f2e3d4c`: the eight digits at its
end are the manifest's own checksum, so that no figure in it can be changed unnoticed either.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import orjson

from features.errors import FieldError
from models.errors import BundleError, NewerBundleError
from models.pauses import pause

MANIFEST = "manifest.json"
VERSION = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
"""How a version is written."""

LAYOUT = 2
"""The layout of bundles written now. A bundle of another layout is refused."""

MADE_WITH = "features_file"
"""Of the parameters, the file that declared the features; None for our own."""

IMPORTED = "imported"
"""Of the parameters, which file a ranker is from that was made elsewhere, and whose candidates
it orders: `file`, `sha256`, `base`. Not there where the ranker was learnt from the data."""

_PIECE_BYTES = 1 << 18

_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY
_SHA256 = re.compile(r"[0-9a-f]{64}")


def parse_version(raw: object, field: str) -> str:
    """Return `raw` if it is written as a version, whether there is one; raise `FieldError`."""
    if not isinstance(raw, str) or VERSION.fullmatch(raw) is None:
        raise FieldError(field, f"expected a version, got {raw!r:.40}")
    return raw


@dataclass(frozen=True, slots=True)
class FileSum:
    """A file's size in bytes and SHA-256 in hex."""

    size: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Return the sum of a file with this content."""
        return cls(len(content), sha256(content).hexdigest())

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """Return the sum of a file, however large; raise `OSError`."""
        digest = sha256()
        with path.open("rb", buffering=0) as file:
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
                pause()
            return cls(file.tell(), digest.hexdigest())


@dataclass(frozen=True, slots=True)
class Signature:
    """An Ed25519 signature: the id of its key and the 64 bytes themselves, both in hex."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of one bundle; `created` is ISO 8601 UTC.

    Lineage is `dataset_version`, `parameters`, `metrics`, `code_revision` and `parent`: the
    version that served when this one was made. `feature_codes` are those of `FeatureSet.codes`,
    None where they were not kept. What is None at the end is left out.
    """

    version: str
    created: str
    schema_hash: str
    dataset_version: str
    items: int
    files: Mapping[str, FileSum]
    metrics: Mapping[str, Any]
    parameters: Mapping[str, Any]
    example_user: str | None = None
    layout: int = LAYOUT
    code_revision: str | None = None
    parent: str | None = None
    feature_codes: Mapping[str, str] | None = None
    signature: Signature | None = None

    def versioned(self) -> "Manifest":
        """Return the manifest with the version that its moment and content make."""
        moment = datetime.fromisoformat(self.created).astimezone(UTC)
        return replace(self, version=f"{moment:%Y%m%dT%H%M%SZ}-{self._digest()}")

    def to_json(self) -> bytes:
        """Return the manifest as JSON, for people too; numbers that are none become null."""
        told = {
            name: value
            for name, value in asdict(self).items()
            if value is not None or name not in _OPTIONAL
        }
        return orjson.dumps(told, option=_OPTIONS)

    def signed_content(self) -> bytes:
        """Return what a signature is of: the manifest without one, and so every byte."""
        return replace(self, signature=None).to_json()

    @classmethod
    def from_json(cls, raw: bytes) -> "Manifest":
        """Return the manifest in `raw`; raise `BundleError` naming what is wrong with it."""
        try:
            told = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise BundleError(f"{MANIFEST}: not JSON ({error})") from None
        if not isinstance(told, dict):
            raise BundleError(f"{MANIFEST}: expected an object, got {type(told).__name__}")
        if told.get("layout") != LAYOUT:
            raise _other_layout(told.get("layout"))
        manifest = cls(
            **{
                **_checked(told),
                "files": _files(told["files"]),
                "signature": _signature(told.get("signature")),
            }
        )
        if manifest.version.rpartition("-")[2] != manifest._digest():
            raise BundleError(f"{MANIFEST}: changed since it was written (checksum)")
        return manifest

    def _digest(self) -> str:
        bare = replace(self, version="", signature=None)
        return sha256(bare.to_json()).hexdigest()[:8]


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


_KINDS: Mapping[str, Any] = {
    "version": str,
    "created": str,
    "schema_hash": str,
    "dataset_version": str,
    "items": int,
    "files": dict,
    "metrics": dict,
    "parameters": dict,
    "example_user": str | None,
    "layout": int,
    "code_revision": str | None,
    "parent": str | None,
    "feature_codes": dict | None,
    "signature": dict | None,
}
_OPTIONAL = ("code_revision", "parent", "feature_codes", "signature")


def _other_layout(layout: object) -> BundleError:
    told = f"{MANIFEST}: expected layout {LAYOUT}, got {layout!r}"
    if isinstance(layout, int) and layout > LAYOUT:
        return NewerBundleError(told)
    return BundleError(told)


def _checked(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `told` if it has every field of a manifest, of its type, and no other."""
    names = {field.name for field in fields(Manifest)}
    if missing := sorted(names - told.keys() - set(_OPTIONAL)):
        raise BundleError(f"{MANIFEST}: {missing[0]}: missing")
    if unknown := sorted(told.keys() - names):
        raise BundleError(f"{MANIFEST}: {unknown[0]}: unknown field; is a newer program's?")
    for name, kind in _KINDS.items():
        value = told.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            found = type(value).__name__
            raise BundleError(f"{MANIFEST}: {name}: not of its type, got {found}")
    return told


def _files(told: Mapping[str, Any]) -> dict[str, FileSum]:
    return {name: _file_sum(name, each) for name, each in told.items()}


def _file_sum(name: str, told: object) -> FileSum:
    if isinstance(told, dict) and told.keys() == {"size", "sha256"}:
        size, digest = told["size"], told["sha256"]
        if type(size) is int and size >= 0 and _SHA256.fullmatch(str(digest)):
            return FileSum(size, digest)
    raise BundleError(f"{MANIFEST}: files: {name}: expected size and sha256")


def _signature(told: Mapping[str, Any] | None) -> Signature | None:
    if told is None:
        return None
    if told.keys() == {"key", "value"} and all(isinstance(each, str) for each in told.values()):
        return Signature(**told)
    raise BundleError(f"{MANIFEST}: signature: expected key and value")
