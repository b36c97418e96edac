"""The Open Inference Protocol, version 2: tensors in, tensors out, of the ranker that serves.

    JSON                          {"inputs": [{"name": "features", …, "data": […]}]}
    JSON and bytes behind it      Inference-Header-Content-Length says where the JSON ends

Either may be asked with, either may be answered with (the extension `binary_tensor_data`).
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from models.errors import ModelsError
from models.model import Model
from models.parts import Floats
from models.ranker_features import RANKER_FEATURES
from server.errors import ClientError, UnavailableError
from server.query import parse_json

NAME: Final = "ranker"
INPUT, OUTPUT = "features", "score"
DATATYPE: Final = "FP32"
MAX_ROWS: Final = 4_096
WIDTH: Final = len(RANKER_FEATURES)

_BINARY_OUTPUT = "binary_data_output"
_BINARY_SIZE = "binary_data_size"


class TensorError(ClientError):
    """A tensor, or what is said of it, is not what the model takes."""


class Inferred(NamedTuple):
    """The body of an answer, and where its JSON ends if bytes follow."""

    body: bytes
    json_length: int | None


def metadata(model: Model) -> dict[str, Any]:
    """Return what a client may know of the model; `columns` names those of the input."""
    return {
        "name": NAME,
        "versions": [model.version],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": INPUT, "datatype": DATATYPE, "shape": [-1, WIDTH]}],
        "outputs": [{"name": OUTPUT, "datatype": DATATYPE, "shape": [-1, 1]}],
        "parameters": {"columns": list(RANKER_FEATURES), "max_rows": MAX_ROWS},
    }


def infer(model: Model, body: bytes, json_length: int | None) -> Inferred:
    """Return the scores that a request asks for; `json_length` is None where no bytes follow.

    Raises `MalformedError` or `TensorError` for what is wrong with it, `UnavailableError` where
    the model fails.
    """
    if json_length is not None and not 0 < json_length <= len(body):
        raise TensorError(
            f"Inference-Header-Content-Length: expected 1 to {len(body)}, got {json_length}"
        )
    told = _object(parse_json(body[:json_length]), "body")
    behind = b"" if json_length is None else body[json_length:]
    features = _features(_only(told, "inputs", INPUT), behind)
    is_binary = _wants_bytes(told)
    try:
        scores = model.score(features)
    except ModelsError as error:
        raise UnavailableError(f"{NAME}: {error}") from None
    return _answered(model, told.get("id"), scores, is_binary=is_binary)


def _answered(model: Model, asked_id: object, scores: Floats, *, is_binary: bool) -> Inferred:
    output: dict[str, Any] = {"name": OUTPUT, "datatype": DATATYPE, "shape": [len(scores), 1]}
    packed = scores.astype("<f4").tobytes() if is_binary else b""
    if is_binary:
        output["parameters"] = {_BINARY_SIZE: len(packed)}
    else:
        output["data"] = scores.ravel()
    head: dict[str, Any] = {"model_name": NAME, "model_version": model.version}
    if isinstance(asked_id, str):
        head["id"] = asked_id
    written = orjson.dumps({**head, "outputs": [output]}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Inferred(written + packed, len(written) if is_binary else None)


def _only(told: Mapping[str, Any], field: str, name: str) -> Mapping[str, Any]:
    """Return the one tensor that a list must name."""
    tensors = told.get(field)
    if not isinstance(tensors, list) or len(tensors) != 1:
        count = len(tensors) if isinstance(tensors, list) else type(tensors).__name__
        raise TensorError(f"{field}: expected one tensor, {name}, got {count}")
    tensor = _object(tensors[0], f"{field}[0]")
    if tensor.get("name") != name:
        raise TensorError(f"{field}[0].name: expected {name}, got {tensor.get('name')!r:.80}")
    return tensor


def _features(tensor: Mapping[str, Any], behind: bytes) -> Floats:
    if tensor.get("datatype") != DATATYPE:
        raise TensorError(f"{INPUT}: expected {DATATYPE}, got {tensor.get('datatype')!r:.80}")
    rows = _rows(tensor.get("shape"))
    size = _object(tensor.get("parameters", {}), f"{INPUT}.parameters").get(_BINARY_SIZE)
    values = _of_list(tensor.get("data")) if size is None else _of_bytes(size, behind)
    if size is None and behind:
        raise TensorError(f"{INPUT}: {len(behind)} bytes behind the JSON belong to no tensor")
    if values.shape not in {(rows, WIDTH), (rows * WIDTH,)}:
        got = " × ".join(map(str, values.shape))
        raise TensorError(f"{INPUT}: expected {rows} × {WIDTH} values, got {got}")
    with np.errstate(over="ignore"):
        features: Floats = values.astype(np.float32).reshape(rows, WIDTH)
    if not np.isfinite(features).all():
        row, column = np.argwhere(~np.isfinite(features))[0]
        raise TensorError(f"{INPUT}: expected finite numbers, got another in [{row}, {column}]")
    return features


def _rows(shape: object) -> int:
    if isinstance(shape, list) and len(shape) == 2 and type(shape[0]) is int:
        rows, width = shape
        if 1 <= rows <= MAX_ROWS and width == WIDTH:
            return int(rows)
    wanted = f"[1 to {MAX_ROWS}, {WIDTH}]"
    raise TensorError(f"{INPUT}.shape: expected {wanted}, got {shape!r:.80}")


def _of_list(data: object) -> npt.NDArray[Any]:
    try:
        values = np.array(data if isinstance(data, list) else None)
    except ValueError:  # rows of several lengths
        values = np.array(None)
    if values.dtype.kind not in "iuf":
        raise TensorError(f"{INPUT}.data: expected numbers, row after row, got {data!r:.80}")
    return values


def _of_bytes(size: object, behind: bytes) -> npt.NDArray[Any]:
    if size != len(behind) or isinstance(size, bool):
        told = f"expected the {len(behind)} bytes behind the JSON, got {size!r:.80}"
        raise TensorError(f"{INPUT}.{_BINARY_SIZE}: {told}")
    if len(behind) % 4:
        raise TensorError(f"{INPUT}: expected 4 bytes a value, got {len(behind)} in all")
    return np.frombuffer(behind, "<f4")


def _wants_bytes(told: Mapping[str, Any]) -> bool:
    """Tell whether the output is to follow as bytes: it says so, or all are to."""
    whole = _object(told.get("parameters", {}), "parameters").get(_BINARY_OUTPUT, False)
    if not told.get("outputs"):
        return whole is True
    output = _only(told, "outputs", OUTPUT)
    own = _object(output.get("parameters", {}), "outputs[0].parameters")
    return own.get("binary_data", whole) is True


def _object(raw: object, field: str) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise TensorError(f"{field}: expected an object, got {type(raw).__name__}")
    return raw


def parse_length(told: str | None) -> int | None:
    """Return the header that says where the JSON ends; raise `TensorError`."""
    if told is None:
        return None
    if not (told.isascii() and told.isdigit() and len(told) < 10):
        raise TensorError(f"Inference-Header-Content-Length: expected a number, got {told!r:.40}")
    return int(told)
