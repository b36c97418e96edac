"""Trained parts as ONNX graphs, and the gate that lets only those through that rank alike."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import HistGradientBoostingRegressor

from models.errors import ExportError
from models.parts import Floats
from models.ranker import Ranker
from models.ranker_features import HISTORY, RANKER_FEATURES, SCORE
from models.split import LEAST_HISTORY

OPSET = 17
IR_VERSION = 8
"""Old enough for every onnxruntime that is supported, new enough for every operator used."""

_LEAST_KNOWN = np.float32(np.log(LEAST_HISTORY))

TOP = 10
LEAST_OVERLAP = 0.99
LEAST_CORRELATION = 0.999
TOLERANCE = 1e-5
"""Scores nearer to one another than this share of their range count as equal: float32 moves
a sum by a hair, and a hair decides only between equals."""


def tower_graph(rank: int) -> bytes:
    """Return the user tower, see `models.parts.Personal.tower`: grades weigh what was met.

    A pad is row -1, the last item, with grade 0: it adds nothing.
    """
    inputs = [
        helper.make_tensor_value_info("items", TensorProto.INT64, ["batch", "history"]),
        helper.make_tensor_value_info("grades", TensorProto.FLOAT, ["batch", "history"]),
        helper.make_tensor_value_info("inputs", TensorProto.FLOAT, ["items", rank]),
    ]
    user = helper.make_tensor_value_info("user", TensorProto.FLOAT, ["batch", rank])
    nodes = [
        helper.make_node("Gather", ["inputs", "items"], ["met"]),
        helper.make_node("Unsqueeze", ["grades", "one"], ["weights"]),
        helper.make_node("MatMul", ["weights", "met"], ["summed"]),
        helper.make_node("Squeeze", ["summed", "one"], ["user"]),
    ]
    one = numpy_helper.from_array(np.array([1], np.int64), "one")
    graph = helper.make_graph(nodes, "tower", inputs, [user], [one])
    return _serialised(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)]))


def ranker_graph(ranker: Ranker) -> bytes:
    """Return the ranker as a graph: `features` float32[n, ranker features] → `score` [n, 1]."""
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])
    if ranker.trees is None:
        graph = helper.make_graph([_cast_sum("score")], "ranker", [], [score])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    else:
        model = _trees(ranker.trees)
        _put_before(
            model,
            [
                _cast_sum("sum"),
                helper.make_node("Concat", ["features", "sum"], ["columns"], axis=1),
            ],
        )
    _put_sum_before(model, ranker)
    _leave_short_histories(model)
    return _serialised(model)


def _trees(trees: HistGradientBoostingRegressor) -> onnx.ModelProto:
    """Return trees as a graph of `columns`: features, and last their sum."""
    columns = ("columns", FloatTensorType([None, len(RANKER_FEATURES) + 1]))
    model: onnx.ModelProto = to_onnx(trees, initial_types=[columns], target_opset=OPSET)
    (output,) = model.graph.output
    for node in model.graph.node:
        node.output[:] = ["score" if name == output.name else name for name in node.output]
    output.name = "score"
    return model


def _cast_sum(name: str) -> onnx.NodeProto:
    return helper.make_node("Cast", ["exact_sum"], [name], to=TensorProto.FLOAT)


def with_short_histories(features: Floats, scores: Floats) -> Floats:
    """Return float32[n]: what a graph is to give where `scores` float32[n] is what was learnt.

    Who met as many items as one has to, and took some out of the basket again, has a short history.
    """
    is_short = features[:, HISTORY] < _LEAST_KNOWN
    told: Floats = np.where(is_short, features[:, SCORE], scores)
    return told


def _leave_short_histories(model: onnx.ModelProto) -> None:
    """Let a graph give candidates of a short history their own score, see `with_short_histories`.

    Its length is `known`, see `_put_sum_before`.
    """
    for node in model.graph.node:
        node.output[:] = ["ranked" if name == "score" else name for name in node.output]
    constants: dict[str, npt.NDArray[Any]] = {
        "score_at": np.array([SCORE], np.int64),
        "least_known": np.array(_LEAST_KNOWN, np.float64),
    }
    for name, value in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    model.graph.node.extend(
        [
            helper.make_node("Gather", ["features", "score_at"], ["own"], axis=1),
            helper.make_node("Less", ["known", "least_known"], ["is_short"]),
            helper.make_node("Where", ["is_short", "own", "ranked"], ["score"]),
        ]
    )


def _put_sum_before(model: onnx.ModelProto, ranker: Ranker) -> None:
    """Let a graph that begins with `exact_sum` take `features`: it is `Ranker.sums` of them.

    It is added up in float64, as where trees were learnt: a float32 that differs in its last bit
    may fall on the other side of a threshold.
    """
    _put_before(
        model,
        [
            helper.make_node("Cast", ["features"], ["exact"], to=TensorProto.DOUBLE),
            helper.make_node("MatMul", ["exact", "weights"], ["plain"]),
            helper.make_node("MatMul", ["exact", "by_history"], ["told"]),
            helper.make_node("Gather", ["exact", "history"], ["known"], axis=1),
            helper.make_node("Mul", ["told", "known"], ["more"]),
            helper.make_node("Add", ["plain", "more"], ["exact_sum"]),
        ],
    )
    for name, weights in (("weights", ranker.weights), ("by_history", ranker.by_history)):
        column = weights[:, None].astype(np.float64)
        model.graph.initializer.append(numpy_helper.from_array(column, name))
    history = numpy_helper.from_array(np.array([HISTORY], np.int64), "history")
    model.graph.initializer.append(history)
    del model.graph.input[:]
    model.graph.input.append(
        helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, len(ranker.weights)])
    )


def _put_before(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    behind = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *behind])


def _serialised(model: onnx.ModelProto) -> bytes:
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def require_agreement(
    name: str, original: Sequence[Floats], exported: Sequence[Floats]
) -> dict[str, float]:
    """Return how well two lists of scores rank alike; raise `ExportError` if not well enough.

    Each entry holds the scores of one shopper's items.
    """
    pairs = list(zip(original, exported, strict=True))
    overlap = float(np.mean([_overlap(*pair) for pair in pairs])) if pairs else 1.0
    correlation = float(np.mean([_correlation(*pair) for pair in pairs])) if pairs else 1.0
    if not (overlap >= LEAST_OVERLAP and correlation >= LEAST_CORRELATION):
        raise ExportError(
            f"{name}: ranks unlike the model it was made from: top-{TOP} overlap {overlap:.4f} "
            f"(least {LEAST_OVERLAP}), rank correlation {correlation:.4f} "
            f"(least {LEAST_CORRELATION})"
        )
    return {"top10_overlap": round(overlap, 6), "rank_correlation": round(correlation, 6)}


def _overlap(original: Floats, exported: Floats) -> float:
    """Return the share of the exported top that may stand in the original's, ties included."""
    top = min(TOP, len(original))
    worst = np.sort(original)[-top]
    chosen = np.argsort(-exported, kind="stable")[:top]
    return float(np.mean(original[chosen] >= worst - TOLERANCE * np.ptp(original)))


def _correlation(original: Floats, exported: Floats) -> float:
    """Return Spearman's correlation, 1 where there is nothing to order."""
    ranks = _ranks(original), _ranks(exported)
    if np.ptp(ranks[0]) == 0:
        return 1.0
    if np.ptp(ranks[1]) == 0:
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def _ranks(scores: Floats) -> npt.NDArray[np.float64]:
    """Return mean ranks: scores that follow one another within the tolerance share theirs."""
    order = np.argsort(scores, kind="stable")
    steps = np.diff(scores[order], prepend=scores[order[:1]]) > TOLERANCE * np.ptp(scores)
    group = np.cumsum(steps)
    mean = np.bincount(group, np.arange(len(scores))) / np.maximum(np.bincount(group), 1)
    ranks = np.empty(len(scores))
    ranks[order] = mean[group]
    return ranks
