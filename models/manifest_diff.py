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
    """Return all that differs, part by part, by name; a file's value is its checksum's head."""
    found = []
    for part, of_one, of_other in zip(_PARTS, _told(first), _told(second), strict=True):
        found += [
            Difference(part, name, of_one.get(name), of_other.get(name))
            for name in dict.fromkeys((*of_one, *of_other))
            if of_one.get(name) != of_other.get(name)
        ]
    return found


_PARTS = ("data", "features", "parameters", "metrics", "files")


def _told(manifest: Manifest) -> tuple[dict[str, object], ...]:
    """Return the values of each part by name."""
    return (
        {name: getattr(manifest, name) for name in DATA},
        dict(manifest.feature_codes or {}),
        dict(flat(manifest.parameters)),
        dict(flat(manifest.metrics)),
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
