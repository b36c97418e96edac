"""What differs between two bundles, by their manifests."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from models.manifest import Manifest

DATA = ("dataset_version", "items", "schema_hash", "code_revision", "parent", "example_user")


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that differs; None is absent. `part` is one of `_PARTS`."""

    part: str
    name: str
    first: object
    second: object


def differences(first: Manifest, second: Manifest) -> list[Difference]:
    """Return all that differs, part by part, by name; a file's value is its checksum's head.

    What one of both lacks altogether is one difference, however much the other has of it.
    """
    return [
        Difference(part, *each)
        for part, of_one, of_other in zip(_PARTS, _told(first), _told(second), strict=True)
        for each in _differing(of_one, of_other)
    ]


def _differing(
    one: Mapping[str, Any], other: Mapping[str, Any], above: str = ""
) -> Iterator[tuple[str, object, object]]:
    for name in dict.fromkeys((*one, *other)):
        first, second = one.get(name), other.get(name)
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            yield from _differing(first, second, f"{above}{name}.")
        elif first != second:
            yield f"{above}{name}", first, second


_PARTS = ("data", "features", "parameters", "metrics", "files")


def _told(manifest: Manifest) -> tuple[Mapping[str, Any], ...]:
    """Return the values of each part by name."""
    return (
        {name: getattr(manifest, name) for name in DATA},
        dict(manifest.feature_codes or {}),
        manifest.parameters,
        manifest.metrics,
        {
            name: f"{told.size} bytes, {told.sha256[:12]}"
            for name, told in sorted(manifest.files.items())
        },
    )


def flat(told: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, object]]:
    """Yield the values of nested mappings by dotted name."""
    for name, value in told.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
