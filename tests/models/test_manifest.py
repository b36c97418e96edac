"""Manifests: every field there, of its type, and what it was when it was written."""

from dataclasses import fields, replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BundleError
from models.manifest import FileSum, Manifest

WHOLE = Manifest(
    version="",
    created="2026-11-23T10:15:00+00:00",
    schema_hash="0123",
    dataset_version="events@3",
    items=7,
    files={"items.json": FileSum.of(b"[]")},
    metrics={"model": {"ndcg@10": 0.1}},
    parameters={"rank": 32},
    example_user="amélie",
).versioned()
NAMES = sorted(field.name for field in fields(Manifest))
OPTIONAL = ("code_revision", "parent", "feature_codes", "signature")
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.dictionaries(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | NUMBERS | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    ),
)


def told(**changes: Any) -> bytes:
    """Return the manifest as JSON with some fields changed."""
    return orjson.dumps({**orjson.loads(WHOLE.to_json()), **changes})


@given(metrics=JSON, parameters=JSON)
def test_what_is_written_is_read(metrics: dict[str, Any], parameters: dict[str, Any]) -> None:
    """Whatever was measured, the manifest comes back equal and believes itself."""
    manifest = replace(WHOLE, metrics=metrics, parameters=parameters).versioned()
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_the_version_is_moment_and_checksum() -> None:
    """The moment in UTC comes first, so that versions sort by age."""
    assert WHOLE.version.startswith("20261123T101500Z-")
    elsewhere = replace(WHOLE, created="2026-11-23T12:15:00+02:00").versioned()
    assert elsewhere.version.startswith("20261123T101500Z-")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OPTIONAL])
def test_a_missing_field_is_named(name: str) -> None:
    """Every field must be there, but for what was not told."""
    raw = orjson.loads(WHOLE.to_json())
    del raw[name]
    with pytest.raises(BundleError, match=name):
        Manifest.from_json(orjson.dumps(raw))


@pytest.mark.parametrize("name", NAMES)
def test_a_field_of_another_type_is_named(name: str) -> None:
    """No field is taken for what it is not."""
    for wrong in (True, 1.5, [1]):
        with pytest.raises(BundleError, match=name):
            Manifest.from_json(told(**{name: wrong}))


def test_an_unknown_field_is_named() -> None:
    """What the manifest does not know it does not pass over."""
    with pytest.raises(BundleError, match="author: unknown field"):
        Manifest.from_json(told(author="me"))


def test_another_layout_is_refused() -> None:
    """A bundle of a later program says so before anything else."""
    with pytest.raises(BundleError, match="expected layout 2, got 3: written by a newer program"):
        Manifest.from_json(told(layout=3, surprise=1))


@pytest.mark.parametrize("change", [{"items": 8}, {"example_user": None}, {"metrics": {}}])
def test_a_changed_figure_is_found(change: dict[str, Any]) -> None:
    """The version carries the checksum of all that the manifest says."""
    with pytest.raises(BundleError, match="changed since it was written"):
        Manifest.from_json(told(**change))


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[1]", b"null", b'"text"', b"NaN"])
def test_what_is_no_object_is_refused(raw: bytes) -> None:
    """A file that is no JSON object is no manifest."""
    with pytest.raises(BundleError, match=r"manifest\.json"):
        Manifest.from_json(raw)


@pytest.mark.parametrize(
    "entry",
    [
        None,
        [],
        {"size": 2},
        {"size": "2", "sha256": "0" * 64},
        {"size": True, "sha256": "0" * 64},
        {"size": -1, "sha256": "0" * 64},
        {"size": 2, "sha256": "0" * 63},
        {"size": 2, "sha256": 0},
        {"size": 2, "sha256": "0" * 64, "mode": 7},
    ],
)
def test_a_file_without_its_sum_is_named(entry: object) -> None:
    """Size and checksum of each file, nothing else."""
    with pytest.raises(BundleError, match=r"files: a\.bin: expected size and sha256"):
        Manifest.from_json(told(files={"a.bin": entry}))


def test_lineage_is_left_out_where_it_is_not_told() -> None:
    """Manifests of before there was lineage stay what they were; it counts where it is told."""
    assert not set(OPTIONAL) & orjson.loads(WHOLE.to_json()).keys()
    traced = replace(WHOLE, code_revision="0.1.0+git.1f2e", parent=WHOLE.version).versioned()
    assert Manifest.from_json(traced.to_json()) == traced
    assert traced.version != WHOLE.version
    with pytest.raises(BundleError, match="changed since it was written"):
        Manifest.from_json(told(parent="another"))


@pytest.mark.parametrize("value", [{}, {"key": "k"}, {"key": "k", "value": 7}, {"k": "", "v": ""}])
def test_a_signature_that_is_none(value: object) -> None:
    """Key and value, two texts."""
    with pytest.raises(BundleError, match="signature: expected key and value"):
        Manifest.from_json(told(signature=value))
