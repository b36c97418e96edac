"""Bundles that are whole by their checksums, and hold what somebody else put into them."""

from dataclasses import replace
from pathlib import Path

from models.manifest import MANIFEST, FileSum, read_manifest


def forge(bundle: Path, name: str, content: bytes | None) -> Path:
    """Replace a file (None: remove it), with a manifest to match, and return the directory."""
    told = read_manifest(bundle)
    files = {**told.files}
    files.pop(name, None)
    (bundle / name).unlink(missing_ok=True)
    if content is not None:
        files[name] = FileSum.of(content)
        (bundle / name).write_bytes(content)
    told = replace(told, files=files).versioned()
    (bundle / MANIFEST).write_bytes(told.to_json())
    return bundle.rename(bundle.parent / told.version)
