"""Rankers made elsewhere: what fits is registered byte for byte, what does not is named."""

import re
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import GradientBoostingRegressor

from features.eventlog import NO_RECORDS
from features.events import RECORD, TYPE_CODES, EventType
from features.ids import stable_hash
from features.moments import Moment
from models.__main__ import cli
from models.bundle import write_bundle
from models.imported_ranker import MOST_BYTES
from models.model import Model
from models.parts import Floats
from models.ranker_features import RANKER_FEATURES
from models.registry import Registry
from models.request import RankRequest
from models.signature import TrustedKeys, make_keys
from tests.support.bundles import graph, indexed_parts, linear_ranker, small_parts

WIDTH = len(RANKER_FEATURES)
FLOAT = TensorProto.FLOAT
FEATURES: dict[str, tuple[int, list[Any]]] = {"features": (FLOAT, ["M", WIDTH])}
SCORE: dict[str, tuple[int, list[Any]]] = {"score": (FLOAT, ["M", 1])}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name an empty home."""
    monkeypatch.setenv("CUVEE_HOME", str(tmp_path))


@pytest.fixture
def base(registry: Registry) -> str:
    """Return the version of a model that serves."""
    return registry.promote(write_bundle(registry.directory, indexed_parts()))


def run(*words: object) -> Result:
    """Run a verb."""
    return CliRunner().invoke(cli, [str(word) for word in words])


def weights(column: str) -> Floats:
    """Return the weights of an order by one column, the least of it first."""
    told = np.zeros(WIDTH, np.float32)
    told[RANKER_FEATURES.index(column)] = -1
    return told


@cache
def boosted() -> bytes:
    """Return what a data scientist might bring: scikit-learn's trees by way of skl2onnx."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(300, WIDTH)).astype(np.float32)
    trees = GradientBoostingRegressor(n_estimators=20, random_state=0)
    trees.fit(rows, rows[:, RANKER_FEATURES.index("score")])
    columns = ("features", FloatTensorType([None, WIDTH]))
    content: bytes = to_onnx(trees, initial_types=[columns], target_opset=17).SerializeToString()
    return content


def listed(model: Model) -> list[tuple[str, float]]:
    """Return what a shopper of one purchase is shown, best first."""
    records = np.zeros(1, RECORD)
    records["item"] = stable_hash(model.item_id(0))
    records["tag"] = TYPE_CODES[EventType.PURCHASE]
    (ranking,) = model.rank(model.batch([RankRequest("ann", records, NO_RECORDS, Moment(9), 8)]))
    assert ranking.listed is not None
    return [
        (model.item_id(row), score)
        for row, score in zip(ranking.listed.rows, ranking.listed.scores, strict=True)
    ]


@pytest.mark.parametrize("make", [boosted, lambda: linear_ranker(weights("log_price"))])
def test_a_ranker_that_fits_waits_as_candidate(
    make: Callable[[], bytes], base: str, registry: Registry, tmp_path: Path
) -> None:
    """Its manifest tells the file, its checksum and the base; no figure of the base is its own."""
    path = tmp_path / "mine.onnx"
    path.write_bytes(make())
    done = run("import", path)
    assert done.exit_code == 0, done.output
    version = registry.candidate()
    assert done.output.split()[:2] == [version, "candidate"]
    assert registry.production() == base
    told = registry.manifest("candidate")
    digest = sha256(path.read_bytes()).hexdigest()
    assert told.parameters["imported"] == {"file": "mine.onnx", "sha256": digest, "base": base}
    assert told.files["ranker.onnx"].sha256 == digest
    assert told.parent == base
    assert "model" not in told.metrics
    others = {name for name in told.files if name != "ranker.onnx"}
    assert all(told.files[name] == registry.manifest(base).files[name] for name in others)
    card = run("card", "candidate").output
    assert digest in card
    assert "Its ranker was made elsewhere" in card


def test_it_orders_as_it_says(base: str, registry: Registry, tmp_path: Path) -> None:
    """Candidates are those of the base, their order is that of the file."""
    path = tmp_path / "cheapest.onnx"
    path.write_bytes(linear_ranker(weights("log_price")))
    assert run("import", path, "--base", base).exit_code == 0
    assert run("promote", "candidate").exit_code == 0
    shown = listed(registry.load("production"))
    scores = [score for _, score in shown]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) < max(scores)
    assert shown != listed(registry.load(base))


def test_an_imported_model_may_be_a_base(base: str, registry: Registry, tmp_path: Path) -> None:
    """A second ranker names the model it was laid over, and that is signed where there is a key."""
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    first.write_bytes(boosted())
    second.write_bytes(linear_ranker(weights("age_days")))
    assert run("import", first).exit_code == 0
    laid_over = registry.candidate()
    assert run("import", second, "--base", "candidate").exit_code == 0
    assert registry.manifest("candidate").parameters["imported"]["base"] == laid_over
    assert registry.manifest("candidate").parent == base


def test_it_is_signed_as_what_is_trained(
    base: str, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a key set the base must be signed, and what comes of it is."""
    private, public, key = make_keys(tmp_path / "keys")
    monkeypatch.setenv("CUVEE_MODEL_PRIVATE_KEY", str(private))
    monkeypatch.setenv("CUVEE_MODEL_PUBLIC_KEY", str(public))
    path = tmp_path / "mine.onnx"
    path.write_bytes(boosted())
    refused = run("import", path)
    assert (refused.exit_code, "not signed" in refused.output) == (2, True)
    assert run("sign", base).exit_code == 0
    assert run("import", path).exit_code == 0
    trusted = Registry(registry.directory.parent, TrustedKeys.of_file(public))
    signature = trusted.manifest("candidate").signature
    assert signature is not None
    assert signature.key == key
    assert trusted.load("candidate").is_personal


def with_external_data() -> bytes:
    """Return a ranker whose weights lie in a file beside it."""
    model = onnx.load_from_string(linear_ranker(weights("score")))
    (tensor,) = model.graph.initializer
    onnx.external_data_helper.set_external_data(tensor, "weights.bin")
    tensor.ClearField("raw_data")
    content: bytes = model.SerializeToString()
    return content


def with_sparse_external_data(*, constant: bool = False) -> bytes:
    """Return a ranker whose weights are sparse, and say where they are in a file beside it."""
    values = numpy_helper.from_array(np.ones(1, np.float32), "weights")
    outside = numpy_helper.from_array(np.zeros(1, np.int64), "places")
    onnx.external_data_helper.set_external_data(outside, "places.bin")
    outside.ClearField("raw_data")
    sparse = onnx.SparseTensorProto(values=values, indices=outside, dims=[WIDTH, 1])
    model = onnx.load_from_string(linear_ranker(weights("score")))
    del model.graph.initializer[:]
    if constant:
        node = helper.make_node("Constant", [], ["weights"], sparse_value=sparse)
        model.graph.node.insert(0, node)
    else:
        model.graph.sparse_initializer.append(sparse)
    content: bytes = model.SerializeToString()
    return content


def with_a_custom_operator(*, inside: bool = False) -> bytes:
    """Return a ranker with an operator that ONNX does not have, perhaps in a branch of another."""
    node = helper.make_node("Embed", ["features"], ["score"], domain="com.acme")
    if inside:
        out = helper.make_tensor_value_info("score", *SCORE["score"])
        branch = helper.make_graph([node], "branch", [], [out])
        node = helper.make_node("If", ["yes"], ["score"], then_branch=branch, else_branch=branch)
    tensors = [helper.make_tensor_value_info(name, *each) for name, each in FEATURES.items()]
    scores = [helper.make_tensor_value_info(name, *each) for name, each in SCORE.items()]
    yes = numpy_helper.from_array(np.array(True), "yes")
    made = helper.make_graph([node], "custom", tensors, scores, [yes] if inside else [])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.acme", 1)]
    content: bytes = helper.make_model(made, opset_imports=opsets).SerializeToString()
    return content


def fused(*, inside: bool = False) -> bytes:
    """Return a ranker with an operator that only onnxruntime has, perhaps within a function."""
    node = helper.make_node("FusedMatMul", ["features", "w"], ["score"], domain="com.microsoft")
    opsets = [helper.make_opsetid(*each) for each in (("", 17), ("com.microsoft", 1))]
    functions = []
    if inside:
        names, domain = (["features", "w"], ["score"]), "com.microsoft"
        functions = [helper.make_function(domain, "Order", *names, [node], opsets)]
        node = helper.make_node("Order", *names, domain=domain)
    tensors = [helper.make_tensor_value_info(name, *each) for name, each in FEATURES.items()]
    scores = [helper.make_tensor_value_info(name, *each) for name, each in SCORE.items()]
    own = numpy_helper.from_array(weights("score")[:, None], "w")
    made = helper.make_graph([node], "fused", tensors, scores, [own])
    told = helper.make_model(made, functions=functions, opset_imports=opsets, ir_version=8)
    content: bytes = told.SerializeToString()
    return content


def of_opset(version: int, ir_version: int = 8) -> bytes:
    """Return a ranker that is stamped with a version of ONNX."""
    model = onnx.load_from_string(linear_ranker(weights("score")))
    model.opset_import[0].version = version
    model.ir_version = ir_version
    content: bytes = model.SerializeToString()
    return content


def summed(
    name: str = "features", kind: int = FLOAT, axes: Any = ("M", WIDTH), out: Any = ("M", 1)
) -> bytes:
    """Return a ranker that says how it differs from what is asked."""
    node = helper.make_node("ReduceSum", [name, "axis"], ["sum"], keepdims=1)
    nodes = [node, helper.make_node("Cast", ["sum"], ["score"], to=FLOAT)]
    constants = {"axis": np.array([1])}
    return graph(nodes, {name: (kind, axes)}, {"score": (FLOAT, out)}, constants)


def two_inputs() -> bytes:
    """Return a ranker that asks for the shopper beside the columns."""
    nodes = [helper.make_node("Add", ["features", "shopper"], ["sum"])]
    nodes.append(helper.make_node("ReduceMax", ["sum"], ["score"], axes=[1]))
    return graph(nodes, {**FEATURES, "shopper": (FLOAT, ["M", WIDTH])}, SCORE, {})


def classifier() -> bytes:
    """Return a graph with a label beside the score."""
    nodes = [helper.make_node("Identity", ["features"], [name]) for name in ("label", "score")]
    outputs: Any = dict.fromkeys(("label", "score"), (FLOAT, ["M", WIDTH]))
    return graph(nodes, FEATURES, outputs, {})


def divided() -> bytes:
    """Return a ranker that divides by what is often 0."""
    nodes = [
        helper.make_node("Sub", ["features", "features"], ["nothing"]),
        helper.make_node("Div", ["features", "nothing"], ["ratios"]),
        helper.make_node("ReduceSum", ["ratios", "axis"], ["score"], keepdims=1),
    ]
    return graph(nodes, FEATURES, SCORE, {"axis": np.array([1])})


def root_of_less(column: str) -> bytes:
    """Return a ranker that gives a number where a column is 0, and none where it is more."""
    nodes = [
        helper.make_node("MatMul", ["features", "weights"], ["less"]),
        helper.make_node("Sqrt", ["less"], ["score"]),
    ]
    return graph(nodes, FEATURES, SCORE, {"weights": weights(column)[:, None]})


def beside_others() -> bytes:
    """Return a ranker that subtracts the mean over all rows of a run, whoever they are of."""
    nodes = [
        helper.make_node("MatMul", ["features", "weights"], ["own"]),
        helper.make_node("ReduceMean", ["own"], ["mean"], axes=[0]),
        helper.make_node("Sub", ["own", "mean"], ["score"]),
    ]
    return graph(nodes, FEATURES, SCORE, {"weights": weights("log_graded_items")[:, None]})


def drawn() -> bytes:
    """Return a ranker that draws lots."""
    nodes = [
        helper.make_node("RandomUniformLike", ["features"], ["lots"], dtype=FLOAT),
        helper.make_node("ReduceSum", ["lots", "axis"], ["score"], keepdims=1),
    ]
    return graph(nodes, FEATURES, SCORE, {"axis": np.array([1])})


ANY_ROWS = rf"input features: expected tensor\(float\) \[any, {WIDTH}\], got tensor"
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "no ONNX file, or one without a single operator"),
    "text": (lambda: b"a ranker, honestly", "no ONNX file"),
    "a pickle": (lambda: b"\x80\x04\x95\x1a\x00\x00\x00\x8c\x08sklearn.", "no ONNX file"),
    "half a file": (lambda: boosted()[:-200], "no ONNX"),
    "external data": (with_external_data, "weights: its numbers are in a file beside it"),
    "sparse external data": (
        with_sparse_external_data,
        "places: its numbers are in a file beside it",
    ),
    "a sparse constant's external data": (
        lambda: with_sparse_external_data(constant=True),
        "places: its numbers are in a file beside it",
    ),
    "custom operator": (with_a_custom_operator, r"operator Embed of domain com\.acme: ONNX does "),
    "custom in a branch": (lambda: with_a_custom_operator(inside=True), r"Embed of domain com\."),
    "of onnxruntime": (fused, r"operator FusedMatMul of domain com\.microsoft: ONNX does not "),
    "that in a function": (lambda: fused(inside=True), r"FusedMatMul of domain com\.microsoft"),
    "later opset": (lambda: of_opset(999), r"is of opset 999 of ai\.onnx, expected at most \d+"),
    "later format": (lambda: of_opset(17, 999), "Unsupported model IR version: 999"),
    "another name": (lambda: summed(name="X"), r"expected inputs \['features'\], got \['X'\]"),
    "two inputs": (two_inputs, r"expected inputs \['features'\], got \['features', 'shopper'\]"),
    "too narrow": (lambda: summed(axes=("M", WIDTH - 1)), ANY_ROWS),
    "columns open": (lambda: summed(axes=("M", "N")), ANY_ROWS),
    "one row at a time": (lambda: summed(axes=(1, WIDTH), out=(1, 1)), ANY_ROWS),
    "double": (lambda: summed(kind=TensorProto.DOUBLE), ANY_ROWS),
    "two outputs": (classifier, r"expected one output, tensor\(float\) \[any, 1\], got tensor"),
    "one output row": (lambda: summed(out=(1, 1)), "expected one output"),
    "no number": (divided, r"gave a score that is no number \(first in row 0\)"),
    "no number but at midnight": (lambda: root_of_less("hour"), "score that is no number"),
    "none for who was here": (lambda: root_of_less("clicks_last_hour"), "score that is no number"),
    "none for who is known": (lambda: root_of_less("age"), "score that is no number"),
    "none for who is at home": (lambda: root_of_less("at_home"), "score that is no number"),
    "none for who rated": (lambda: root_of_less("rating_count"), "score that is no number"),
    "beside others": (beside_others, "expected each row to be scored by itself"),
    "lots": (drawn, "expected each row to be scored by itself"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_named(
    case: str, base: str, registry: Registry, tmp_path: Path
) -> None:
    """One line with the file and what was expected; the registry is as it was."""
    make, told = REFUSED[case]
    path = tmp_path / "mine.onnx"
    path.write_bytes(make())
    done = run("import", path)
    assert done.exit_code == 2, done.output
    assert done.output.startswith("error: mine.onnx: ")
    assert done.output.count("\n") == 1
    assert re.search(told, done.output), done.output
    assert {path.name for path in registry.directory.iterdir()} == {base, "aliases", "history"}
    assert registry.candidate() is None


def test_files_that_are_none(base: str, tmp_path: Path) -> None:
    """No such file, a directory, and one that is too large to order anything in time."""
    assert "No such file" in run("import", tmp_path / "none.onnx").output
    assert "expected a file" in run("import", tmp_path).output
    huge = tmp_path / "huge.onnx"
    with huge.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    done = run("import", huge)
    assert done.exit_code == 2
    assert f"expected at most {MOST_BYTES:,} bytes, got {MOST_BYTES + 1:,}" in done.output
    assert Registry(tmp_path).production() == base


@pytest.mark.usefixtures("base")
def test_a_ranker_that_tells_nothing_apart_is_warned_of(tmp_path: Path) -> None:
    """It changes nothing, which is seldom what was meant, and still is what was asked."""
    path = tmp_path / "flat.onnx"
    path.write_bytes(linear_ranker(np.zeros(WIDTH, np.float32)))
    done = run("import", path)
    assert done.exit_code == 0
    assert "warning: flat.onnx: the same score for all of" in done.stderr
    assert Registry(tmp_path).candidate() == done.stdout.split()[0]


def test_a_base_that_cannot_be_one(registry: Registry, tmp_path: Path) -> None:
    """There must be one, and it must find candidates."""
    path = tmp_path / "mine.onnx"
    path.write_bytes(boosted())
    assert run("import", path).output == "error: there is no production model\n"
    bare = registry.promote(write_bundle(registry.directory, small_parts(personal=False)))
    done = run("import", path)
    assert done.exit_code == 2
    assert done.output.startswith(f"error: --base: {bare} has no candidates to order")
    assert [each.version for each in registry.manifests()] == [bare]


def test_a_disk_that_takes_nothing_leaves_nothing(
    base: str, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is one line, and no half of a bundle stays."""
    path = tmp_path / "mine.onnx"
    path.write_bytes(boosted())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("models.bundle.write_file", full)
    done = run("import", path)
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert "No space left on device" in done.output
    assert {each.name for each in registry.directory.iterdir()} == {base, "aliases", "history"}


def test_the_columns_are_told_without_a_file() -> None:
    """One a line, in their order."""
    done = run("import", "--columns")
    assert (done.exit_code, done.output.split()) == (0, list(RANKER_FEATURES))
