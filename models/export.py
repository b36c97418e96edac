"""Trained parts as ONNX graphs, and the gate that lets only those through that rank alike."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import HistGradientBoostingRegressor

from models.ease import Towers
from models.errors import ExportError
from models.parts import Floats
from models.ranker_features import RANKER_FEATURES

OPSET = 17
"""Old enough for every onnxruntime that is supported, new enough for every operator used."""

TOP = 10
LEAST_OVERLAP = 0.99
LEAST_CORRELATION = 0.999


def scorer_graph(towers: Towers) -> bytes:
    """Return the two-tower graph, see `models.parts.Personal.scorer`.

    A pad is row -1, the last item, with grade 0: it adds nothing.
    """
    items = len(towers.outputs)
    nodes = [
        helper.make_node("Gather", ["inputs", "items"], ["met"]),
        helper.make_node("Unsqueeze", ["grades", "one"], ["weights"]),
        helper.make_node("MatMul", ["weights", "met"], ["summed"]),
        helper.make_node("Squeeze", ["summed", "one"], ["user"]),
        helper.make_node("MatMul", ["user", "outputs"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "scorer",
        [
            helper.make_tensor_value_info("items", TensorProto.INT64, ["batch", "history"]),
            helper.make_tensor_value_info("grades", TensorProto.FLOAT, ["batch", "history"]),
        ],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", items])],
        [
            numpy_helper.from_array(towers.inputs, "inputs"),
            numpy_helper.from_array(np.ascontiguousarray(towers.outputs.T), "outputs"),
            numpy_helper.from_array(np.array([1], np.int64), "one"),
        ],
    )
    return _serialised(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)]))


def ranker_graph(ranker: HistGradientBoostingRegressor) -> bytes:
    """Return the ranker as a graph, see `models.parts.Personal.ranker`."""
    features = FloatTensorType([None, len(RANKER_FEATURES)])
    return _serialised(to_onnx(ranker, initial_types=[("features", features)], target_opset=OPSET))


def _serialised(model: onnx.ModelProto) -> bytes:
    model.ir_version = min(model.ir_version, 9)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def require_agreement(
    name: str, original: Sequence[Floats], exported: Sequence[Floats]
) -> dict[str, float]:
    """Return how well two lists of scores rank alike; raise `ExportError` if not well enough.

    Each entry holds the scores of one shopper's candidates. Ranks count, not scores: float32
    moves a score by a hair, and a hair decides only between equals.
    """
    overlap = float(np.mean([_overlap(*pair) for pair in zip(original, exported, strict=True)]))
    correlation = float(
        np.mean([_correlation(*pair) for pair in zip(original, exported, strict=True)])
    )
    if not (overlap >= LEAST_OVERLAP and correlation >= LEAST_CORRELATION):
        raise ExportError(
            f"{name}: ranks unlike the model it was made from: top-{TOP} overlap {overlap:.4f} "
            f"(least {LEAST_OVERLAP}), rank correlation {correlation:.4f} "
            f"(least {LEAST_CORRELATION})"
        )
    return {"top10_overlap": overlap, "rank_correlation": correlation}


def _overlap(original: Floats, exported: Floats) -> float:
    """Return the share of the exported top that is no worse than the original's, ties included."""
    top = min(TOP, len(original))
    worst = np.sort(original)[-top]
    chosen = np.argsort(-exported, kind="stable")[:top]
    tolerance = 1e-6 * max(float(np.abs(original).max()), 1.0)
    return float(np.mean(original[chosen] >= worst - tolerance))


def _correlation(original: Floats, exported: Floats) -> float:
    """Return the correlation of ranks, 1 where there is nothing to order."""
    if np.ptp(original) == 0 or len(original) < 3:
        return 1.0
    ranks = [np.unique(np.round(each, 6), return_inverse=True)[1] for each in (original, exported)]
    if np.ptp(ranks[1]) == 0:
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
