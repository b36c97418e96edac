"""The reference in a bundle: what was written is read, and its absence is told in words."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.arrays import pack
from models.bundle import read_bundle, write_bundle
from models.errors import BundleError
from models.manifest import MANIFEST, FileSum, read_manifest
from models.reference.stored import NAMES, REFERENCE_PART, read_reference
from tests.support.bundles import small_parts


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return the directory of a small bundle."""
    return tmp_path / write_bundle(tmp_path, small_parts())


def _without(bundle: Path, *names: str) -> Path:
    told = read_manifest(bundle)
    files = {name: each for name, each in told.files.items() if name not in names}
    for name in names:
        (bundle / name).unlink()
    return _resealed(bundle, files)


def _with(bundle: Path, name: str, content: bytes) -> Path:
    (bundle / name).write_bytes(content)
    return _resealed(bundle, {**read_manifest(bundle).files, name: FileSum.of(content)})


def _resealed(bundle: Path, files: dict[str, FileSum]) -> Path:
    told = replace(read_manifest(bundle), files=files).versioned()
    (bundle / MANIFEST).write_bytes(told.to_json())
    return bundle.rename(bundle.parent / told.version)


def test_what_is_written_is_read(bundle: Path) -> None:
    """Numbers, words, who and when; what was missing is missing."""
    told, expected = read_reference(bundle), small_parts().reference
    assert expected is not None
    assert told.slots.tolist() == expected.slots.tolist()
    assert told.shoppers.tolist() == expected.shoppers.tolist()
    assert list(told.values) == list(expected.values)
    assert told.values["country"].tolist() == expected.values["country"].tolist()
    assert np.array_equal(
        told.values["recent_spend"].astype(np.float64),
        expected.values["recent_spend"],
        equal_nan=True,
    )


def test_a_bundle_without_one_serves_and_says_so(bundle: Path) -> None:
    """As bundles of earlier versions, which had quantiles under that name."""
    old = _with(_without(bundle, *REFERENCE_PART), NAMES, b'{"features": {}, "scores": []}')
    assert read_bundle(old).version == old.name
    with pytest.raises(BundleError, match=f"{old.name}: holds no reference .*; train anew"):
        read_reference(old)


def test_parts_without_one_make_a_bundle(tmp_path: Path) -> None:
    """A shop where nobody has come yet."""
    bundle = tmp_path / write_bundle(tmp_path, replace(small_parts(), reference=None))
    assert not REFERENCE_PART & {path.name for path in bundle.iterdir()}
    assert read_bundle(bundle).version == bundle.name


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (NAMES, b'{"numbers": 3, "words": {}}', "expected numbers, a list"),
        (NAMES, b'{"numbers": [3], "words": {"country": []}}', "expected texts"),
        (NAMES, b'{"numbers": ["a", "b"], "words": {}}', r"expected float32 \[any, 2\]"),
        (NAMES, b'{"numbers": ["a"], "words": {"b": ["x"]}}', "b: expected less than 1"),
        ("reference_slots.npy", pack(np.full(40, 168, np.int16)), "expected less than 168"),
        ("reference_shoppers.npy", pack(np.zeros(3, np.int32)), r"expected int32 \[40\]"),
    ],
)
def test_what_does_not_fit_is_refused(bundle: Path, name: str, content: bytes, told: str) -> None:
    """By whoever reads it: the service before it serves, and the monitor."""
    forged = _with(bundle, name, content)
    with pytest.raises(BundleError, match=told):
        read_reference(forged)
    with pytest.raises(BundleError, match=told):
        read_bundle(forged)


def test_what_changed_is_refused(bundle: Path) -> None:
    """A bit that flipped."""
    content = bytearray((bundle / "reference_numbers.npy").read_bytes())
    content[-1] ^= 1
    (bundle / "reference_numbers.npy").write_bytes(content)
    with pytest.raises(BundleError, match="checksum"):
        read_reference(bundle)
