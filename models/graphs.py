"""ONNX graphs under onnxruntime: opened from bytes that were checked, run on one thread."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from models.errors import BundleError, ModelsError

Shape = tuple[int | None, ...]
"""Sizes of a tensor's axes, None where any size goes."""

_FLOAT = "tensor(float)"

_PLACE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (?:/\S+:\d+ .*?\) )?")
_NEWER = re.compile(r"Opset (\d+) is under development.* domain (\S+) is till opset (\d+)")


class Graph:
    """One graph of a single output. Threads are the caller's: `run` uses the one it is called on.

    A pool of threads would spin between requests and take the processor from the event loop.
    """

    def __init__(
        self, name: str, model: bytes, inputs: Mapping[str, tuple[str, Shape]], output: Shape
    ) -> None:
        """Open `model`; raise `BundleError` unless it takes `inputs` and gives `output`."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = False  # it grows with the largest batch and never shrinks
        options.enable_mem_pattern = False
        options.log_severity_level = 4  # what fails is raised, and told by whoever catches it
        try:
            self._session = ort.InferenceSession(model, options, ["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - its errors have no common base
            raise BundleError(f"{name}: no ONNX graph {_why(str(error))}") from None
        self._check(name, inputs, output)
        self._name = name
        self._row = output[1:]

    def run(self, feeds: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """Return the output for `feeds`, a row for each of theirs.

        Raises `ModelsError` if it fails, gives other rows, or what is no number.
        """
        try:
            result: npt.NDArray[np.float32] = self._session.run(None, feeds)[0]
        except Exception as error:  # noqa: BLE001 - see above
            raise ModelsError(f"{self._name}: does not run ({str(error)[:200]})") from None
        wanted = (len(next(iter(feeds.values()))), *self._row)
        if result.shape != wanted:
            raise ModelsError(f"{self._name}: gave {result.shape}, not {wanted}")
        if np.count_nonzero(np.isfinite(result)) < result.size:
            row = int(np.argwhere(~np.isfinite(result))[0, 0])
            raise ModelsError(f"{self._name}: gave a score that is no number (first in row {row})")
        return result

    def _check(self, name: str, inputs: Mapping[str, tuple[str, Shape]], output: Shape) -> None:
        found = {each.name: (each.type, each.shape) for each in self._session.get_inputs()}
        if found.keys() != inputs.keys():
            raise BundleError(f"{name}: expected inputs {sorted(inputs)}, got {sorted(found)}")
        for each, (kind, shape) in inputs.items():
            if found[each][0] != kind or not _fits(found[each][1], shape):
                expected, got = _told(kind, shape), _told(*found[each])
                raise BundleError(f"{name}: input {each}: expected {expected}, got {got}")
        outputs = self._session.get_outputs()
        given = [(each.type, each.shape) for each in outputs]
        if len(given) != 1 or given[0][0] != _FLOAT or not _fits(given[0][1], output):
            expected, got = _told(_FLOAT, output), ", ".join(_told(*each) for each in given)
            raise BundleError(f"{name}: expected one output, {expected}, got {got or 'none'}")


def _why(told: str) -> str:
    """Return why onnxruntime does not open a graph, in its words but for where in it that is."""
    if newer := _NEWER.search(told):
        opset, domain, newest = newer.groups()
        return (
            f"that onnxruntime {ort.__version__} opens: it is of opset {opset} of {domain}, "
            f"expected at most {newest}"
        )
    return f"that onnxruntime {ort.__version__} opens ({_PLACE.sub('', told).strip():.200})"


def _fits(found: list[Any], wanted: Shape) -> bool:
    """Tell whether axes that must have a size have it, and no other has a fixed one."""
    return len(found) == len(wanted) and all(
        not isinstance(each, int) if size is None else each == size
        for each, size in zip(found, wanted, strict=True)
    )


def _told(kind: str, shape: Sequence[object]) -> str:
    """Return a tensor in words: `tensor(float) [any, 47]`."""
    axes = ", ".join(str(each) if isinstance(each, int) else "any" for each in shape)
    return f"{kind} [{axes}]"
