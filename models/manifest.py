"""What a bundle says of itself: where it came from, and the checksum of every file in it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from models.errors import BundleError

MANIFEST = "manifest.json"
LAYOUT = 1
"""The layout of bundles written now. A bundle of another layout is refused."""


@dataclass(frozen=True, slots=True)
class FileSum:
    """A file's size in bytes and SHA-256 in hex."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of one bundle; `created` is ISO 8601 UTC."""

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

    def to_json(self) -> bytes:
        """Return the manifest as JSON, for people too."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)

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
            raise BundleError(f"{MANIFEST}: expected layout {LAYOUT}, got {told.get('layout')!r}")
        for name, kind in _FIELDS.items():
            if not isinstance(told.get(name), kind):
                raise BundleError(f"{MANIFEST}: {name}: missing or not of its type")
        return cls(**{name: told[name] for name in _FIELDS} | {"files": _files(told["files"])})


_FIELDS: Mapping[str, Any] = {
    "version": str,
    "created": str,
    "schema_hash": str,
    "dataset_version": str,
    "items": int,
    "files": dict,
    "metrics": dict,
    "parameters": dict,
    "example_user": str | None,
}


def _files(told: Mapping[str, Any]) -> dict[str, FileSum]:
    try:
        return {
            name: FileSum(int(each["size"]), str(each["sha256"])) for name, each in told.items()
        }
    except (KeyError, TypeError, ValueError):
        raise BundleError(f"{MANIFEST}: files: expected size and sha256 of each") from None
