"""Models that pass every check, and then are bad for some shoppers."""

from dataclasses import replace

import numpy as np
from onnx import TensorProto, helper

from models.parts import Parts
from models.ranker_features import RANKER_FEATURES
from tests.support.bundles import graph, small_parts


def failing_parts(items: int = 31) -> Parts:
    """Return parts whose ranker gives what is no number for everybody who bought of late."""
    parts = small_parts(items)
    assert parts.personal is not None
    count = len(RANKER_FEATURES)
    score, bought = np.zeros((count, 1), np.float32), np.zeros((count, 1), np.float32)
    score[0], bought[RANKER_FEATURES.index("recent_purchase_count")] = 1, 1
    nodes = [
        helper.make_node("MatMul", ["features", "first"], ["plain"]),
        helper.make_node("MatMul", ["features", "bought"], ["purchases"]),
        helper.make_node("Sub", ["half", "purchases"], ["rest"]),
        helper.make_node("Sqrt", ["rest"], ["root"]),
        helper.make_node("Add", ["plain", "root"], ["score"]),
    ]
    ranker = graph(
        nodes,
        {"features": (TensorProto.FLOAT, ["M", count])},
        {"score": (TensorProto.FLOAT, ["M", 1])},
        {"first": score, "bought": bought, "half": np.array([0.5], np.float32)},
    )
    return replace(parts, personal=replace(parts.personal, ranker=ranker))


def empty_parts(items: int = 31) -> Parts:
    """Return parts of a shop where nothing is in stock."""
    parts = small_parts(items)
    table = replace(parts.items, in_stock=np.zeros(items, np.bool_))
    return replace(parts, items=table)
