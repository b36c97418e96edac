"""Small models with everything in them: real graphs, segments, and items that are out of stock.

The numbers are drawn from a fixed seed, so equal arguments give equal bundles.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from features.catalogue import Catalogue
from features.ids import stable_hashes
from models.item_index import ItemIndex
from models.item_table import ItemTable
from models.parts import Companions, Floats, Parts, Personal, Segments
from models.ranker_features import AFFINITIES, ITEM_STATS, RANKER_FEATURES
from models.reference.rows import SLOTS, Rows

CATEGORIES = ("Red", "White", "Rosé", "Sparkling")
SEGMENT_NAMES = ("global", "type=Red", "type=White", "market=FR")
SHOPPERS = ("amélie", "bruno", "用户 7")
"""Shoppers of the segment table: of `type=Red`, `type=White` and `market=FR`."""

RANK = 4
OPSET = 17
IR_VERSION = 8


@dataclass(frozen=True, slots=True)
class Towers:
    """Item factors, float32[items, rank] each."""

    inputs: Floats
    outputs: Floats


def small_parts(
    items: int = 30,
    *,
    personal: bool = True,
    ranked: bool = True,
    ids: Sequence[str] | None = None,
    towers: Towers | None = None,
    weights: Floats | None = None,
    seed: int = 7,
) -> Parts:
    """Return parts of `items` wines, every seventh of them out of stock.

    `ids` are the items', `towers` their factors and `weights` the ranker's, float32[ranker
    features], where drawn ones do not do.
    """
    random = np.random.default_rng(seed)
    if weights is None:
        weights = random.normal(0, 0.1, len(RANKER_FEATURES)).astype(np.float32)
        weights[0] = 1
    return Parts(
        items=ItemTable.of(_catalogue(items, random, ids)),
        segments=_segments(items, random),
        personal=_personal(items, random, towers, weights if ranked else None)
        if personal
        else None,
        companions=_companions(items),
        reference=_reference(random),
        metrics={"model": {"ndcg@10": 0.25}, "popularity": {"ndcg@10": 0.125}, "by_segment": {}},
        parameters={"rank": RANK, "seed": seed},
        dataset_version="events@3,items@1,users@0",
        example_user=SHOPPERS[0],
    )


def whole_towers(items: int) -> Towers:
    """Return factors that are small integers: sums of products are exact in any order."""
    drawn = np.random.default_rng(3).integers(-3, 4, (2, items, RANK))
    return Towers(*drawn.astype(np.float32))


def indexed_parts(items: int = 30) -> Parts:
    """Return small parts with an index of their items, as large ones have."""
    parts = small_parts(items)
    assert parts.personal is not None
    index, _ = ItemIndex.build(parts.personal.outputs, parts.personal.inputs)
    return replace(parts, personal=replace(parts.personal, index=index))


def tower(rank: int, *, beyond: int = 0) -> bytes:
    """Return the user tower; with `beyond` it reads so many rows behind those that were met."""
    nodes = [
        helper.make_node("Add", ["items", "beyond"], ["places"]),
        helper.make_node("Gather", ["inputs", "places"], ["rows"]),
        helper.make_node("Unsqueeze", ["grades", "last"], ["weights"]),
        helper.make_node("Mul", ["rows", "weights"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "second"], ["user"], keepdims=0),
    ]
    return graph(
        nodes,
        {
            "items": (TensorProto.INT64, ["B", "H"]),
            "grades": (TensorProto.FLOAT, ["B", "H"]),
            "inputs": (TensorProto.FLOAT, ["N", rank]),
        },
        {"user": (TensorProto.FLOAT, ["B", rank])},
        {"beyond": np.array(beyond), "last": np.array([-1]), "second": np.array([1])},
    )


def linear_ranker(weights: Floats) -> bytes:
    """Return a ranker whose score is the weighted sum of its features."""
    return graph(
        [helper.make_node("MatMul", ["features", "weights"], ["score"])],
        {"features": (TensorProto.FLOAT, ["M", len(weights)])},
        {"score": (TensorProto.FLOAT, ["M", 1])},
        {"weights": weights[:, None]},
    )


def graph(
    nodes: list[Any],
    inputs: dict[str, tuple[int, list[Any]]],
    outputs: dict[str, tuple[int, list[Any]]],
    constants: dict[str, npt.NDArray[Any]],
) -> bytes:
    """Return an ONNX model of `nodes`; inputs and outputs are (element type, axes) by name."""
    made = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, *told) for name, told in inputs.items()],
        [helper.make_tensor_value_info(name, *told) for name, told in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized


def _personal(
    items: int, random: np.random.Generator, towers: Towers | None, weights: Floats | None
) -> Personal:
    towers = towers or Towers(*random.normal(size=(2, items, RANK)).astype(np.float32))
    return Personal(
        tower=tower(towers.inputs.shape[1]),
        inputs=towers.inputs,
        outputs=towers.outputs,
        implicit_inputs=random.normal(size=(items, RANK)).astype(np.float32),
        implicit_outputs=random.normal(size=(items, RANK)).astype(np.float32),
        ranker=None if weights is None else linear_ranker(weights),
        item_stats=random.uniform(0, 3, (items, len(ITEM_STATS))).astype(np.float32),
        item_codes=random.integers(-1, 4, (items, AFFINITIES)).astype(np.int32),
    )


def _reference(random: np.random.Generator) -> Rows:
    numbers = random.normal(size=40).astype(np.float32).astype(np.float64)
    numbers[3] = np.nan
    words = np.array([None, "FR", "IT", "FR"] * 10, object)
    shoppers = np.arange(40, dtype=np.uint64) // 4
    return Rows(shoppers, np.arange(40) % SLOTS, {"recent_spend": numbers, "country": words})


def _companions(items: int) -> Companions:
    """Return that each item but the first goes with the one before it, and that with the first."""
    rows = [[row - 1, 0] if row > 1 else [0] * row for row in range(items)]
    offsets = np.cumsum([0, *map(len, rows)])
    scores = [each for some in rows for each in (0.5, 0.25)[: len(some)]]
    flat = [each for some in rows for each in some]
    return Companions(offsets, np.array(flat, np.int32), np.array(scores, np.float32))


def _catalogue(items: int, random: np.random.Generator, ids: Sequence[str] | None) -> Catalogue:
    category = np.array([CATEGORIES[row % len(CATEGORIES)] for row in range(items)], np.str_)
    price = random.uniform(5, 90, items).astype(np.float32)
    price[3::11] = np.nan
    in_stock = np.arange(items) % 7 != 6
    named = ids or [f"wine-{row:04d}" for row in range(items)]
    return Catalogue(tuple(named), category, price, in_stock, {})


def _segments(items: int, random: np.random.Generator) -> Segments:
    popularity = random.exponential(1, (len(SEGMENT_NAMES), items)).astype(np.float32)
    popularity[1:, ::2] = 0  # a segment has not bought everything
    item_rows = (np.arange(items) % len(CATEGORIES) + 1).astype(np.int32)
    item_rows[item_rows > 2] = 0
    shoppers = stable_hashes(SHOPPERS)
    order = np.argsort(shoppers)
    rows = np.arange(1, len(SHOPPERS) + 1, dtype=np.uint16)
    return Segments(SEGMENT_NAMES, popularity, item_rows, shoppers[order], rows[order])
