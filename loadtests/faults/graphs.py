"""Towers that pass the warm-up and fail for shoppers: what no check at promotion can find."""

import timeit
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

_REHEARSED = 256
"""Rows that a warm-up never goes beyond; histories of shoppers do."""

_SIDE = 768


def raising(tower: bytes) -> bytes:
    """Return `tower`, but it reads beyond its table for a history with an item of a later row."""
    nodes = [
        helper.make_node("Where", ["later", "beyond", "first"], ["place"]),
        helper.make_node("Gather", ["inputs", "place"], ["row"]),
        helper.make_node("ReduceMax", ["row"], ["most"], keepdims=0),
        helper.make_node("Mul", ["most", "nothing"], ["more"]),
    ]
    constants = {"beyond": np.array(10**9), "first": np.array(0)}
    return _changed(tower, nodes, constants)


def slow(tower: bytes, seconds: float) -> bytes:
    """Return `tower`, but it takes `seconds` longer for a history with an item of a later row."""
    turns = max(1, round(seconds / _turn_s()))
    nodes = [
        helper.make_node("Where", ["later", "turns", "first"], ["wanted"]),
        helper.make_node("Loop", ["wanted", "", "square"], ["multiplied"], body=_multiplication()),
        helper.make_node("ReduceMax", ["multiplied"], ["most"], keepdims=0),
        helper.make_node("Mul", ["most", "nothing"], ["more"]),
    ]
    square = np.full((_SIDE, _SIDE), 1 / _SIDE, np.float32)
    constants = {"square": square, "turns": np.array(turns), "first": np.array(0)}
    return _changed(tower, nodes, constants)


def _changed(
    tower: bytes,
    nodes: list[onnx.NodeProto],
    constants: dict[str, npt.NDArray[Any]],
) -> bytes:
    """Return `tower` with `nodes`, which make `more` from `later`, added to its vectors."""
    model = onnx.load_from_string(tower)
    graph = model.graph
    for node in graph.node:
        node.output[:] = ["plain" if name == "user" else name for name in node.output]
    graph.node.insert(0, helper.make_node("Greater", ["latest", "rehearsed"], ["later"]))
    graph.node.insert(0, helper.make_node("ReduceMax", ["items"], ["latest"], keepdims=0))
    graph.node.extend([*nodes, helper.make_node("Add", ["plain", "more"], ["user"])])
    told = {
        **constants,
        "rehearsed": np.array(_REHEARSED),
        "nothing": np.zeros((), np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in told.items())
    onnx.checker.check_model(model)
    changed: bytes = model.SerializeToString()
    return changed


def _multiplication() -> onnx.GraphProto:
    matrix = [_SIDE, _SIDE]
    return helper.make_graph(
        [
            helper.make_node("MatMul", ["before", "square"], ["after"]),
            helper.make_node("Identity", ["go_on"], ["still"]),
        ],
        "multiplication",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, matrix),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, matrix),
        ],
    )


def _turn_s() -> float:
    """Return how long this machine takes for one multiplication where nothing disturbs it."""
    square = helper.make_tensor_value_info("square", TensorProto.FLOAT, [_SIDE, _SIDE])
    after = helper.make_tensor_value_info("after", TensorProto.FLOAT, [_SIDE, _SIDE])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["square", "square"], ["after"])], "once", [square], [after]
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(made.SerializeToString(), options, ["CPUExecutionProvider"])
    feeds = {"square": np.full((_SIDE, _SIDE), 1 / _SIDE, np.float32)}
    session.run(None, feeds)
    return min(timeit.repeat(lambda: session.run(None, feeds), number=1))
