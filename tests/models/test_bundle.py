"""Bundles: whole or not there, believed to the last byte or refused by name."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import orjson
import pytest
from onnx import TensorProto, helper

import models.bundle
from features.catalogue import Catalogue
from features.errors import InputError
from features.feature_set import FeatureSet
from features.ids import NO_HASHES
from models.arrays import Array, map_array, pack
from models.bundle import read_bundle, read_ladder, write_bundle
from models.errors import BundleError, NewerBundleError
from models.item_table import ItemTable
from models.manifest import MADE_WITH, MANIFEST, FileSum, read_manifest
from models.model import Model
from models.parts import Parts
from models.ranker_features import ITEM_STATS, RANKER_FEATURES
from models.request import Filters, Listed
from tests.support.bundles import RANK, graph, indexed_parts, linear_ranker, small_parts, tower
from tests.support.forged import forge

LADDER = (
    MANIFEST, "items.json", "segments.json",
    "item_ids.npy", "item_hashes.npy", "hash_rows.npy", "category.npy", "price.npy",
    "in_stock.npy", "popularity.npy", "item_rows.npy", "shoppers.npy", "shopper_rows.npy",
)  # fmt: skip
PERSONAL = (
    "inputs.npy", "outputs.npy", "implicit_inputs.npy", "implicit_outputs.npy", "item_stats.npy",
    "item_codes.npy", "tower.onnx", "ranker.onnx", "index.faiss",
)  # fmt: skip
REFERENCE = (
    "reference.json", "reference_numbers.npy", "reference_words.npy", "reference_shoppers.npy",
    "reference_slots.npy",
)  # fmt: skip
BASKETS = ("companion_offsets.npy", "companion_rows.npy", "companion_scores.npy")
FILES = LADDER + PERSONAL + BASKETS + REFERENCE
NOW = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)


def answers(model: Model) -> list[Any]:
    """Return what a model says of popular and similar items."""
    return [
        *(model.popular(row, NO_HASHES, Filters(), 40) for row in range(len(model.segment_names))),
        *(model.similar(row, 5) for row in range(len(model))),
        *(model.bought_together([row], 5) for row in range(len(model))),
    ]


@pytest.mark.parametrize("personal", [True, False])
@pytest.mark.parametrize("ranked", [True, False])
def test_what_is_written_is_read(tmp_path: Path, personal: bool, ranked: bool) -> None:
    """The model read back says what the parts said."""
    parts = small_parts(personal=personal, ranked=ranked)
    model = read_bundle(tmp_path / write_bundle(tmp_path, parts))
    model.warm()
    assert answers(model) == answers(Model(parts))
    assert model.is_personal is personal
    assert model.segment_names == parts.segments.names
    assert model.example_user == parts.example_user
    assert model.created == read_manifest(tmp_path / model.version).created


def test_how_many_met_each_item_survives(tmp_path: Path) -> None:
    """A bundle has an array of them; one of earlier versions has none, and is read as well."""
    parts = small_parts(12)
    assert parts.personal is not None
    met = np.arange(12, dtype=np.int32)
    told = replace(parts, personal=replace(parts.personal, met=met))
    with_it = read_bundle(tmp_path / write_bundle(tmp_path, told))
    without = read_bundle(tmp_path / write_bundle(tmp_path, parts))
    assert with_it._personal is not None
    assert without._personal is not None
    np.testing.assert_array_equal(with_it._personal.met_by, met)
    log_events = parts.personal.item_stats[:, ITEM_STATS.index("log_events")]
    np.testing.assert_array_equal(without._personal.met_by, np.rint(np.expm1(log_events)))


def test_a_version_is_a_moment_and_a_content(tmp_path: Path) -> None:
    """Equal parts at one moment are one bundle; other parts are another."""
    first = write_bundle(tmp_path, small_parts(), NOW)
    assert first.startswith("20261123T101500Z-")
    assert write_bundle(tmp_path, small_parts(), NOW) == first
    other = write_bundle(tmp_path, replace(small_parts(), metrics={"model": {}}), NOW)
    assert other[:17] == first[:17]
    assert other != first
    assert {path.name for path in tmp_path.iterdir()} == {first, other}


def test_any_id_survives(tmp_path: Path) -> None:
    """Item ids and categories of any script come back as they were."""
    ids = ("ü", "用户 7", "🍷" * 128, "a'b\"c\\", "\u200b")
    parts = small_parts(len(ids), personal=False, ids=ids)
    model = read_bundle(tmp_path / write_bundle(tmp_path, parts))
    assert [model.index_of(each) for each in ids] == list(range(len(ids)))
    assert [model.item_id(row) for row in range(len(ids))] == list(ids)


NAMES = ("Château d'Été", "", "🍷" * 200, "with a zero\0", "5")


def named(names: Any) -> ItemTable:
    """Return a catalogue in which items are called so."""
    count = len(names)
    ones = np.ones(count, np.float32)
    kinds = np.full(count, "Red", np.str_)
    told = {"name": names if isinstance(names, np.ndarray) else np.array(names, object)}
    ids = tuple(f"wine-{row:04d}" for row in range(count))
    return ItemTable.of(Catalogue(ids, kinds, ones, ones.astype(bool), told))


def test_what_items_are_called_survives(tmp_path: Path) -> None:
    """In a whole bundle and in its ladder, cut to what a sentence can hold; ids stand in."""
    parts = replace(small_parts(len(NAMES)), items=named(NAMES))
    directory = tmp_path / write_bundle(tmp_path, parts)
    expected = ["Château d'Été", "wine-0001", "🍷" * 80, "with a zero", "5"]
    for model in (read_bundle(directory), read_ladder(directory)):
        listed = Listed([0] * 5, [0.0] * 5, list(range(5)))
        told = [each["reason_text"] for each in orjson.loads(model.json(listed))]
        assert told == [f"Similar to {name}" for name in expected]


@pytest.mark.parametrize("names", [np.arange(3, dtype=np.float32), ["", "", ""]])
def test_items_without_names_have_no_file_of_them(tmp_path: Path, names: Any) -> None:
    """A number is no name."""
    parts = replace(small_parts(3), items=named(names))
    directory = tmp_path / write_bundle(tmp_path, parts)
    assert not (directory / "names.npy").exists()
    listed = Listed([0], [0.0], [2])
    assert b"Similar to wine-0002" in read_bundle(directory).json(listed)


def test_what_may_be_called_popular_is_kept(tmp_path: Path) -> None:
    """A bundle of an earlier version has no file of it: what sells well is called popular there."""
    parts = small_parts(10)
    segments = replace(parts.segments, popular=np.zeros((4, 2), np.uint8))
    reasons = []
    for each in (parts, replace(parts, segments=segments)):
        directory = tmp_path / write_bundle(tmp_path, each)
        assert (directory / "popular.npy").exists() == (each.segments.popular is not None)
        for model in (read_bundle(directory), read_ladder(directory)):
            told = orjson.loads(model.popular_json(1, NO_HASHES, Filters(), 3))
            reasons.append([item["reason"] for item in told])
    assert reasons[:2] == [["popular_in:type=Red"] * 3] * 2
    assert reasons[2:] == [["in_range"] * 3] * 2


# What is damaged


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_a_flipped_bit_is_found(bundle: Path, name: str, place: float) -> None:
    """One bit, wherever it is: the file is named."""
    content = bytearray((bundle / name).read_bytes())
    content[int(place * (len(content) - 1))] ^= 4
    (bundle / name).write_bytes(content)
    with pytest.raises(BundleError, match=name):
        read_bundle(bundle)


@pytest.mark.parametrize("name", PERSONAL + BASKETS)
def test_what_cannot_rank_still_knows_what_is_popular(bundle: Path, name: str) -> None:
    """The ladder's part of a bundle stands alone: same items, same segments, nothing personal."""
    whole = read_bundle(bundle)
    (bundle / name).write_bytes(b"damaged")
    left = read_ladder(bundle)
    assert (whole.is_whole, left.is_whole, left.is_personal) == (True, False, False)
    assert left.version == whole.version
    for segment in range(len(whole.segment_names)):
        asked = (segment, NO_HASHES, Filters(), len(whole))
        assert left.popular(*asked) == whole.popular(*asked)


def test_a_ladder_serves_whatever_features_it_was_made_for(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is popular depends on no feature: a newer program may still tell it."""
    monkeypatch.setattr("models.bundle.FEATURE_SET", FeatureSet(()))
    with pytest.raises(BundleError, match="train anew"):
        read_bundle(bundle)
    assert len(read_ladder(bundle)) == 30


@pytest.mark.parametrize("name", LADDER)
def test_a_damaged_ladder_is_refused(bundle: Path, name: str) -> None:
    """No answer is better than a wrong one."""
    (bundle / name).write_bytes(b"damaged")
    with pytest.raises(BundleError, match=name):
        read_ladder(bundle)


def test_every_bit_of_the_manifest_counts(bundle: Path) -> None:
    """No figure in the manifest can change unnoticed, not the least: a sample of each field."""
    whole = (bundle / MANIFEST).read_bytes()
    begins = [found.start() for found in re.finditer(rb'(?m)^  "', whole)]
    written = [whole[begin:].split(b'"', 2)[1].decode() for begin in begins]
    assert sorted(written) == sorted(orjson.loads(whole))
    random = Random(1)
    for begin, end in pairwise((*begins, len(whole))):
        for place in random.sample(range(begin, end), min(end - begin, 60)):
            content = bytearray(whole)
            content[place] ^= 1 << random.randrange(8)
            (bundle / MANIFEST).write_bytes(content)
            with pytest.raises(BundleError, match=MANIFEST):
                read_manifest(bundle)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("keep", [0, 20])
def test_a_truncated_file_is_found(bundle: Path, name: str, keep: int) -> None:
    """What a full disk left of a file is not believed."""
    os.truncate(bundle / name, keep)
    with pytest.raises(BundleError, match=name):
        read_bundle(bundle)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    """What is not there is named."""
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=name):
        read_bundle(bundle)


def test_a_superfluous_file_is_named(bundle: Path) -> None:
    """What the manifest does not know is not let pass."""
    (bundle / "hook.py").write_text("")
    with pytest.raises(BundleError, match=r"hook\.py not in the manifest"):
        read_bundle(bundle)


def test_a_directory_in_the_place_of_a_file(bundle: Path) -> None:
    """A file that is none is an error of the bundle, not of the program."""
    (bundle / "items.json").unlink()
    (bundle / "items.json").mkdir()
    with pytest.raises(BundleError, match=r"items\.json"):
        read_bundle(bundle)


def test_a_renamed_bundle_is_refused(bundle: Path) -> None:
    """A version cannot pose as another."""
    with pytest.raises(BundleError, match="it lies in other"):
        read_bundle(bundle.rename(bundle.parent / "other"))


def test_other_features_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model trained on features of other definitions says so."""
    with monkeypatch.context() as patch:
        patch.setattr(models.bundle, "FEATURE_SET", FeatureSet(()))
        version = write_bundle(tmp_path, small_parts())
    with pytest.raises(BundleError, match=r"made for features a40a3481e9c42a97.*train anew"):
        read_bundle(tmp_path / version)


def test_a_features_file_that_was_forgotten_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever trained with a file of their own forgot to name it, most likely."""
    parts = small_parts()
    with monkeypatch.context() as patch:
        patch.setattr(models.bundle, "FEATURE_SET", FeatureSet(()))
        version = write_bundle(
            tmp_path, replace(parts, parameters={**parts.parameters, MADE_WITH: "own.py"})
        )
    cause = r"made with CUVEE_FEATURES=own\.py, which is not set here: set it, or train anew"
    with pytest.raises(BundleError, match=cause):
        read_bundle(tmp_path / version)


def test_other_columns_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many columns in another order are not the ranker's columns."""
    with monkeypatch.context() as patch:
        patch.setattr(models.bundle, "RANKER_FEATURES", RANKER_FEATURES[::-1])
        version = write_bundle(tmp_path, small_parts())
    with pytest.raises(BundleError, match="train anew"):
        read_bundle(tmp_path / version)


# What is whole but does not fit


def changed(array: Array, value: object) -> Array:
    """Return a copy with another first value."""
    array = array.copy()
    array.flat[0] = value
    return array


FORGED_ARRAYS: dict[str, tuple[str, Callable[[Array], Array], str]] = {
    "another kind": ("inputs", lambda a: a.astype(np.float64), "inputs: expected float32"),
    "other bytes": ("shoppers", lambda a: a.astype(">u8"), "shoppers: expected uint64"),
    "another length": ("price", lambda a: a[:-1], "price: expected float32"),
    "another rank": ("outputs", lambda a: a[:, :-1], "outputs: expected float32"),
    "another implicit rank": (
        "implicit_outputs",
        lambda a: a[:, :-1],
        "implicit_outputs: expected float32",
    ),
    "more axes": ("in_stock", lambda a: a[None], "in_stock: expected bool"),
    "too few statistics": ("item_stats", lambda a: a[:, 1:], "item_stats: expected float32"),
    "no number": ("inputs", lambda a: changed(a, np.nan), "inputs: holds what is no number"),
    "infinite": ("popularity", lambda a: changed(a, np.inf), "popularity: holds what is no number"),
    "negative": ("popularity", lambda a: changed(a, -1), "popularity: expected at least 0"),
    "no such segment": ("item_rows", lambda a: changed(a, 4), "item_rows: expected less than 4"),
    "shopper of none": ("shopper_rows", lambda a: changed(a, 4), "shopper_rows: expected less"),
    "fewer rows": ("shopper_rows", lambda a: a[1:], "shopper_rows: expected uint16"),
    "not sorted": ("shoppers", lambda a: a[::-1], "shoppers: expected ascending"),
    "code": ("item_codes", lambda a: changed(a, -2), "item_codes: expected at least -1"),
    "numbers for ids": ("item_ids", lambda a: np.arange(len(a)), "item_ids: expected"),
    "an id twice": ("item_hashes", lambda a: changed(a, a[1]), "each id once"),
    "a row twice": ("hash_rows", lambda a: changed(a, a[1]), "hash_rows: expected each row once"),
    "no such companion": ("companion_rows", lambda a: changed(a, 30), "companion_rows: expected"),
    "offsets that fall": ("companion_offsets", lambda a: changed(a, 1), "expected to rise from 0"),
    "a score too many": ("companion_scores", lambda a: a[1:], "companion_scores: expected float32"),
    "no such category": ("category", lambda a: changed(a, 4), "category: expected less than 4"),
}


@pytest.mark.parametrize("case", FORGED_ARRAYS)
def test_arrays_that_do_not_fit(bundle: Path, case: str) -> None:
    """An array of another kind, shape or range is named, with what was expected."""
    name, change, told = FORGED_ARRAYS[case]
    forged = forge(bundle, f"{name}.npy", pack(change(map_array(bundle / f"{name}.npy"))))
    with pytest.raises(BundleError, match=told):
        read_bundle(forged)


def test_nothing_is_unpickled(bundle: Path, tmp_path: Path) -> None:
    """An array of objects runs no code, it is refused."""
    target = tmp_path / "ran"

    class Hostile:
        def __reduce__(self) -> Any:
            return (target.touch, ())

    np.save(tmp_path / "hostile.npy", np.array([Hostile()], object))
    forged = forge(bundle, "price.npy", (tmp_path / "hostile.npy").read_bytes())
    with pytest.raises(BundleError, match="contents do not fit"):
        read_bundle(forged)
    assert not target.exists()


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"no array", b"\x93NUMPY" * 9]
)
def test_arrays_that_are_none(bundle: Path, content: bytes) -> None:
    """What is no array is refused."""
    with pytest.raises(BundleError, match="price: no array to read"):
        read_bundle(forge(bundle, "price.npy", content))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("items.json", b"[]"),
        ("items.json", b"{"),
        ("items.json", b"{}"),
        ("items.json", b'{"categories": "Red"}'),
        ("items.json", b'{"categories": [1, 2, 3, 4]}'),
        ("items.json", b'{"categories": ["Red"]}'),
        ("segments.json", b"{}"),
        ("segments.json", orjson.dumps({"names": []})),
        ("segments.json", orjson.dumps({"names": ["a", "global", "b", "c"]})),
        ("segments.json", orjson.dumps({"names": ["global", "a", "a", "b"]})),
        ("segments.json", orjson.dumps({"names": ["global"]})),
        ("reference.json", b"{"),
        ("tower.onnx", None),
        ("outputs.npy", None),
        ("item_stats.npy", None),
        ("companion_rows.npy", None),
    ],
)
def test_texts_that_do_not_fit(bundle: Path, name: str, content: bytes | None) -> None:
    """JSON that is none, or tells of other items and segments, is refused."""
    with pytest.raises(BundleError, match="contents do not fit"):
        read_bundle(forge(bundle, name, content))


@pytest.mark.parametrize("name", sorted({*LADDER} - {MANIFEST}))
def test_a_manifest_without_a_file(bundle: Path, name: str) -> None:
    """What every bundle has, the manifest lists."""
    with pytest.raises(BundleError, match=rf"{name} missing"):
        read_bundle(forge(bundle, name, None))


def test_a_file_of_a_newer_program_is_told_as_one(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever features it was made for: it may well be whole, and its ladder serves."""
    newer = forge(bundle, "future.npy", b"")
    monkeypatch.setattr("models.bundle.FEATURE_SET", FeatureSet(()))
    told = r"manifest\.json: files: future\.npy not known: written by a newer program, upgrade this"
    with pytest.raises(NewerBundleError, match=told):
        read_bundle(newer)
    assert len(read_ladder(newer)) == 30


def test_a_manifest_that_leads_elsewhere(bundle: Path) -> None:
    """A name that is none of a bundle's is not even opened."""
    told = read_manifest(bundle)
    told = replace(told, files={**told.files, "../items.json": FileSum.of(b"")}).versioned()
    (bundle / MANIFEST).write_bytes(told.to_json())
    with pytest.raises(BundleError, match="not known"):
        read_bundle(bundle.rename(bundle.parent / told.version))


FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
WIDE = ["M", len(RANKER_FEATURES)]


def odd_ranker(
    name: str = "features", kind: int = FLOAT, axes: Any = WIDE, out: Any = ("M", 1)
) -> bytes:
    """Return a ranker that says how it differs from what serving asks."""
    node = helper.make_node("ReduceSum", [name], ["sum"], keepdims=1)
    nodes = [node, helper.make_node("Cast", ["sum"], ["score"], to=FLOAT)]
    return graph(nodes, {name: (kind, axes)}, {"score": (FLOAT, out)}, {})


def two_outputs() -> bytes:
    """Return a graph with a label beside the score, as classifiers have."""
    nodes = [helper.make_node("Identity", ["features"], [name]) for name in ("label", "score")]
    outputs: Any = dict.fromkeys(("label", "score"), (FLOAT, WIDE))
    return graph(nodes, {"features": (FLOAT, WIDE)}, outputs, {})


def integer_output() -> bytes:
    """Return a graph whose score is an integer."""
    nodes = [helper.make_node("ArgMax", ["features"], ["score"], axis=1, keepdims=1)]
    return graph(nodes, {"features": (FLOAT, WIDE)}, {"score": (INT64, ["M", 1])}, {})


FORGED_GRAPHS: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "no graph": ("tower.onnx", lambda: b"no graph", "tower.onnx: no ONNX graph"),
    "empty": ("ranker.onnx", lambda: b"", "ranker.onnx: no ONNX graph"),
    "another rank": ("tower.onnx", lambda: tower(RANK + 1), "input inputs: expected"),
    "a ranker for a tower": (
        "tower.onnx", lambda: linear_ranker(np.ones(4, np.float32)), "expected inputs",
    ),
    "another width": (
        "ranker.onnx", lambda: linear_ranker(np.ones(4, np.float32)), "input features: expected",
    ),
    "another name": ("ranker.onnx", lambda: odd_ranker(name="x"), "expected inputs"),
    "another kind": ("ranker.onnx", lambda: odd_ranker(kind=INT64), "input features: expected"),
    "a fixed batch": (
        "ranker.onnx", lambda: odd_ranker(axes=[8, WIDE[1]], out=(1, 1)), "input features",
    ),
    "one row for all": ("ranker.onnx", odd_ranker, "expected one output"),
    "two outputs": ("ranker.onnx", two_outputs, "expected one output"),
    "integers": ("ranker.onnx", integer_output, "expected one output"),
}  # fmt: skip


@pytest.mark.parametrize("case", FORGED_GRAPHS)
def test_graphs_that_do_not_fit(bundle: Path, case: str) -> None:
    """A graph with other inputs or outputs is refused before it runs."""
    name, make, told = FORGED_GRAPHS[case]
    with pytest.raises(BundleError, match=told):
        read_bundle(forge(bundle, name, make()))


def one_row() -> bytes:
    """Return a ranker that scores its first row only, which no declared shape tells."""
    nodes = [
        helper.make_node("ReduceSum", ["features", "axis"], ["scores"], keepdims=1),
        helper.make_node("Compress", ["scores", "first"], ["score"], axis=0),
    ]
    constants = {"axis": np.array([1]), "first": np.array([True])}
    return graph(nodes, {"features": (FLOAT, WIDE)}, {"score": (FLOAT, ["M", 1])}, constants)


FAILING_GRAPHS: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "no numbers": (
        "ranker.onnx",
        lambda: linear_ranker(np.full(len(RANKER_FEATURES), np.nan, np.float32)),
        r"ranker\.onnx: gave a score that is no number",
    ),
    "one row for all": ("ranker.onnx", one_row, r"ranker\.onnx: gave \(1, 1\)"),
    "a row too far": ("tower.onnx", lambda: tower(RANK, beyond=99), r"tower\.onnx: does not run"),
}


@pytest.mark.parametrize("case", FAILING_GRAPHS)
def test_a_graph_that_fails_is_found_when_warmed(bundle: Path, case: str) -> None:
    """What only shows when it runs is found before it serves."""
    name, make, told = FAILING_GRAPHS[case]
    model = read_bundle(forge(bundle, name, make()))
    with pytest.raises(BundleError, match=told):
        model.warm()


# What is not written


def test_an_empty_catalogue_is_refused(tmp_path: Path) -> None:
    """There is no model of nothing, and the message says what to do."""
    with pytest.raises(InputError, match="expected at least one item; ingest or simulate"):
        write_bundle(tmp_path / "models", small_parts(0, personal=False))
    assert not (tmp_path / "models").exists()


def misfits() -> dict[str, Parts]:
    """Return parts that do not fit together, by what is told of them."""
    parts = small_parts()
    assert parts.personal is not None
    double: Any = parts.segments.popularity.astype(np.float64)
    ids = [f"wine-{row}" for row in range(29)]
    return {
        "popularity: expected": replace(parts, segments=replace(parts.segments, popularity=double)),
        "popular: expected uint8 .4, 4., got uint8 .4, 3.": replace(
            parts, segments=replace(parts.segments, popular=np.zeros((4, 3), np.uint8))
        ),
        "popular: expected 30 bits a segment": replace(
            parts, segments=replace(parts.segments, popular=np.full((4, 4), 64, np.uint8))
        ),
        "each id once": small_parts(ids=[*ids, ids[0]]),
        "tower.onnx": replace(parts, personal=replace(parts.personal, tower=b"?")),
    }


@pytest.mark.parametrize("told", list(misfits()))
def test_what_could_not_be_read_is_not_written(tmp_path: Path, told: str) -> None:
    """Parts that do not fit together are refused when they are written, not when they serve."""
    with pytest.raises(BundleError, match=told):
        write_bundle(tmp_path / "models", misfits()[told])
    assert not list((tmp_path / "models").iterdir())


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At whichever step the disk is full, nothing is there, and the error says so."""
    fsync, steps = os.fsync, iter(range(1_000))
    full_at = 0

    def full(descriptor: int) -> None:
        if next(steps) == full_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    for full_at in range(len(FILES) + 2):  # noqa: B007 - read by `full`
        steps = iter(range(1_000))
        with pytest.raises(BundleError, match="not written: No space left on device"):
            write_bundle(tmp_path, indexed_parts(), NOW)
        assert list(tmp_path.iterdir()) == []
    steps, full_at = iter(range(1_000)), len(FILES) + 2
    assert read_bundle(tmp_path / write_bundle(tmp_path, indexed_parts(), NOW))


WRITE = """
import os, signal, resource, sys
from pathlib import Path
from random import Random
import models.directory
from models.bundle import write_bundle
from models.errors import BundleError
from tests.support.bundles import small_parts
parts, directory = small_parts(), Path(sys.argv[1])
{before}
try:
    write_bundle(directory, parts)
except BundleError as error:
    print(error)
"""


def write_in_another_process(directory: Path, before: str) -> subprocess.CompletedProcess[str]:
    """Write a bundle in a process that `before` made trouble in."""
    return subprocess.run(
        [sys.executable, "-c", WRITE.format(before=before), str(directory)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_real_limit_leaves_nothing(tmp_path: Path) -> None:
    """A limit of the system on the size of files is told, and leaves nothing."""
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))"
    done = write_in_another_process(tmp_path, limit)
    assert "not written: File too large" in done.stdout
    assert (done.stderr, list(tmp_path.iterdir())) == ("", [])


def test_a_killed_writer_leaves_no_bundle(tmp_path: Path) -> None:
    """What a killed process left is no bundle, and goes when it is an hour old."""
    killed = write_in_another_process(
        tmp_path, "models.directory.sync_directory = lambda _: os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".")
    write_bundle(tmp_path, small_parts())
    assert left.exists()
    os.utime(left, (time.time() - 4_000,) * 2)
    write_bundle(tmp_path, small_parts(personal=False))
    assert not left.exists()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """A file where the directory should be is told as such."""
    (tmp_path / "models").write_text("")
    with pytest.raises(BundleError, match=r"models: not written: "):
        write_bundle(tmp_path / "models", small_parts())
