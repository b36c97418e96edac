"""The Open Inference Protocol, as Triton's own client speaks it, and as nobody should."""

import asyncio
import gzip
import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from models.bundle import write_bundle
from models.model import Model
from models.ranker_features import RANKER_FEATURES
from models.registry import Registry
from server import keys
from server.handlers import inference
from server.infer import MAX_ROWS, WIDTH, infer
from tests.support.bundles import small_parts
from tests.support.service import Client, Start

Floats = npt.NDArray[np.float32]
LENGTH = "Inference-Header-Content-Length"


def features(rows: int) -> Floats:
    """Return rows for the ranker."""
    return np.random.default_rng(rows).normal(size=(rows, WIDTH)).astype(np.float32)


def expected(rows: Floats) -> Floats:
    """Return what the ranker of the small bundle says of them."""
    return Model(small_parts()).score(rows)


def tensor(rows: Floats, *, binary: bool = True) -> Any:
    """Return rows as the input of Triton's client."""
    told = triton.InferInput("features", list(rows.shape), "FP32")
    return told.set_data_from_numpy(rows, binary_data=binary)


def address(service: Client) -> str:
    """Return where a service listens, as Triton's client wants it."""
    return f"{service.host}:{service.port}"


async def test_a_client_finds_what_is_there(service: Client) -> None:
    """Live, ready, what server and model are, by the client that blocks."""

    def asked() -> tuple[Any, ...]:
        with triton.InferenceServerClient(address(service)) as client:
            metadata = client.get_model_metadata("ranker")
            (version,) = metadata["versions"]
            return (
                client.is_server_live(),
                client.is_server_ready(),
                client.is_model_ready("ranker"),
                client.is_model_ready("ranker", version),
                client.is_model_ready("ranker", "1"),
                client.is_model_ready("other"),
                client.get_server_metadata(),
                client.get_model_metadata("ranker", version) == metadata,
                metadata,
            )

    *ready, server, same, metadata = await asyncio.to_thread(asked)
    assert ready == [True, True, True, True, False, False]
    assert (server["name"], server["extensions"]) == ("cuvee", ["binary_tensor_data"])
    assert same
    assert metadata["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, WIDTH]}]
    assert metadata["outputs"] == [{"name": "score", "datatype": "FP32", "shape": [-1, 1]}]
    assert metadata["parameters"]["columns"] == list(RANKER_FEATURES)


@pytest.mark.parametrize("rows", [1, 7, MAX_ROWS])
async def test_a_client_that_blocks_gets_scores(service: Client, rows: int) -> None:
    """Of one row and of as many as may be, to the bit, as bytes."""
    given = features(rows)

    def asked() -> Any:
        with triton.InferenceServerClient(address(service)) as client:
            return client.infer("ranker", [tensor(given)], request_id="r1")

    told = await asyncio.to_thread(asked)
    assert told.as_numpy("score").tobytes() == expected(given).tobytes()
    assert told.get_response()["id"] == "r1"


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
@pytest.mark.parametrize("packed", [None, "gzip", "deflate"])
async def test_every_way_to_ask_and_to_be_answered(
    service: Client, binary_in: bool, binary_out: bool | None, packed: str | None
) -> None:
    """JSON and bytes, on either side, compressed or not, by the client that awaits."""
    given = features(300)
    outputs = None
    if binary_out is not None:
        outputs = [triton_aio.InferRequestedOutput("score", binary_data=binary_out)]
    async with triton_aio.InferenceServerClient(address(service)) as client:
        told = await client.infer(
            "ranker",
            [tensor(given, binary=binary_in)],
            outputs=outputs,
            request_compression_algorithm=packed,
        )
    np.testing.assert_allclose(told.as_numpy("score"), expected(given), rtol=1e-6)


async def test_large_requests_leave_the_loop(
    service: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read and answered in a thread, one after the other, and only so many wait."""
    begun, go = threading.Event(), threading.Event()

    def slow(*asked: Any) -> Any:
        assert threading.current_thread() is not threading.main_thread()
        begun.set()
        go.wait()
        return infer(*asked)

    monkeypatch.setattr(inference, "infer", slow)
    monkeypatch.setattr(inference, "MOST_WAITING", 2)
    given = features(200)
    async with triton_aio.InferenceServerClient(address(service)) as client:
        asked = [asyncio.ensure_future(client.infer("ranker", [tensor(given)])) for _ in range(2)]
        await asyncio.to_thread(begun.wait)
        tensors = service.app[keys.TENSORS]
        while tensors._waiting < 2:
            await asyncio.sleep(0.01)
        with pytest.raises(InferenceServerException, match="2 large requests for scores wait"):
            await client.infer("ranker", [tensor(given)])
        assert (await service.get("/healthz")).status == 200
        go.set()
        for told in await asyncio.gather(*asked):
            assert told.as_numpy("score").tobytes() == expected(given).tobytes()


async def refused(
    service: Client, body: object, status: int = 400, headers: dict[str, str] | None = None
) -> str:
    """See a request refused as the protocol says, and return why."""
    data = io.BytesIO(body if isinstance(body, bytes) else orjson.dumps(body))
    answer = await service.post("/v2/models/ranker/infer", data=data, headers=headers)
    assert answer.status == status, await answer.text()
    told = await answer.json()
    assert told.keys() == {"error"}
    error: str = told["error"]
    return error


def asking(**changed: Any) -> dict[str, Any]:
    """Return a request for the score of one row, its tensor changed."""
    plain = {"name": "features", "datatype": "FP32", "shape": [1, WIDTH], "data": [0.5] * WIDTH}
    return {"inputs": [{**plain, **changed}]}


WRONG: dict[str, tuple[object, str]] = {
    "no JSON": (b"{", "unexpected end of data"),
    "a list": ([], "body: expected an object, got list"),
    "no inputs": ({}, "inputs: expected one tensor, features, got NoneType"),
    "none": ({"inputs": []}, "inputs: expected one tensor, features, got 0"),
    "two": ({"inputs": [{}, {}]}, "inputs: expected one tensor, features, got 2"),
    "no tensor": ({"inputs": [1]}, "inputs[0]: expected an object, got int"),
    "a name": (asking(name="x"), "inputs[0].name: expected features, got 'x'"),
    "a type": (asking(datatype="FP64"), "features: expected FP32, got 'FP64'"),
    "a width": (asking(shape=[1, 3]), f"expected [1 to 4096, {WIDTH}], got [1, 3]"),
    "no rows": (asking(shape=[0, WIDTH], data=[]), f"got [0, {WIDTH}]"),
    "fewer than none": (asking(shape=[-1, WIDTH]), f"got [-1, {WIDTH}]"),
    "too many": (asking(shape=[MAX_ROWS + 1, WIDTH]), f"got [4097, {WIDTH}]"),
    "a shape": (asking(shape="x"), "got 'x'"),
    "too few": (asking(data=[1.0]), f"expected 1 × {WIDTH} values, got 1"),
    "columns for rows": (
        asking(shape=[2, WIDTH], data=[[1.0, 2.0]] * WIDTH),
        f"expected 2 × {WIDTH} values, got {WIDTH} × 2",
    ),
    "text": (
        asking(data=["1"] * WIDTH),
        "features.data: expected numbers, row after row, got ['1'",
    ),
    "nothing": (asking(data=None), "expected numbers, row after row, got None"),
    "nulls": (asking(data=[None] * WIDTH), "expected numbers, row after row, got [None"),
    "ragged": (asking(data=[[1.0], [1.0, 2.0]]), "expected numbers, row after row, got [[1.0]"),
    "too large": (asking(data=[1e39] * WIDTH), "features: expected finite numbers"),
    "parameters": (asking(parameters=1), "features.parameters: expected an object, got int"),
    "bytes that are not there": (
        asking(parameters={"binary_data_size": 4}),
        "features.binary_data_size: expected the 0 bytes behind the JSON, got 4",
    ),
    "an output": ({**asking(), "outputs": [{"name": "x"}]}, "outputs[0].name: expected score"),
    "its kind": ({**asking(), "outputs": 7}, "outputs: expected one tensor, score, got int"),
    "all parameters": ({**asking(), "parameters": []}, "parameters: expected an object, got list"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_is_no_request_is_told(service: Client, case: str) -> None:
    """What was expected, where, and what came."""
    body, told = WRONG[case]
    assert told in await refused(service, body)


@pytest.mark.parametrize(
    ("length", "size", "behind", "told"),
    [
        ("x", 4 * WIDTH, 4 * WIDTH, "Inference-Header-Content-Length: expected a number, got 'x'"),
        ("-1", 4 * WIDTH, 4 * WIDTH, "Inference-Header-Content-Length: expected a number"),
        ("0", 4 * WIDTH, 4 * WIDTH, "Inference-Header-Content-Length: expected 1 to"),
        ("999999", 4 * WIDTH, 4 * WIDTH, "got 999999"),
        (None, None, 4 * WIDTH, "bytes behind the JSON belong to no tensor"),
        (None, 4 * WIDTH, 4 * WIDTH - 4, f"behind the JSON, got {4 * WIDTH}"),
        (None, True, 1, "behind the JSON, got True"),
        (None, 3, 3, "features: expected 4 bytes a value, got 3 in all"),
        (None, 8, 8, f"expected 1 × {WIDTH} values, got 2"),
    ],
)
async def test_bytes_that_are_not_as_told(
    service: Client, length: str | None, size: object, behind: int, told: str
) -> None:
    """Lengths are believed only where they add up."""
    parameters = {} if size is None else {"parameters": {"binary_data_size": size}}
    head = orjson.dumps(asking(**parameters))
    headers = {LENGTH: length or str(len(head)), "Content-Type": "application/octet-stream"}
    assert told in await refused(service, head + bytes(behind), headers=headers)


async def test_no_number_is_a_feature(service: Client) -> None:
    """Neither NaN nor an infinity, as bytes, which can say them."""
    for wrong in (np.nan, np.inf):
        rows = features(1)
        rows[0, 3] = wrong
        async with triton_aio.InferenceServerClient(address(service)) as client:
            with pytest.raises(InferenceServerException, match=r"finite numbers, .* in \[0, 3\]"):
                await client.infer("ranker", [tensor(rows)])


async def test_bodies_are_bounded(service: Client) -> None:
    """In size, also once they are unpacked, and in kind."""
    assert "at most 1048576 may be" in await refused(service, b"x" * (2**20 + 1), 413)
    packed = {"Content-Encoding": "gzip"}
    assert "too large" in (await refused(service, gzip.compress(bytes(2**21)), 413, packed)).lower()
    assert "expected application/json" in await refused(
        service, b"", 415, {"Content-Type": "text/csv"}
    )


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/v2/models/other", "there is no model 'other': expected ranker"),
        ("/v2/models/ranker/versions/1", "ranker: version '1' does not serve, "),
        ("/v2/models/ranker/stats", "GET /v2/models/ranker/stats: see /docs"),
        ("/v2/repository/index", "GET /v2/repository/index: see /docs"),
    ],
)
async def test_what_is_not_there(service: Client, path: str, told: str) -> None:
    """As the protocol tells it."""
    answer = await service.get(path)
    assert answer.status == 404
    assert (await answer.json())["error"].startswith(told)


@pytest.mark.parametrize("path", ["/v2", "/v2/health/live", "/v2/models/ranker/infer"])
async def test_another_method_is_told_as_the_protocol_does(service: Client, path: str) -> None:
    """As all that is wrong, and what would go."""
    answer = await service.delete(path)
    told = f"DELETE {path}: see /docs"
    assert (answer.status, await answer.json()) == (405, {"error": told})
    assert answer.headers["Allow"] in {"GET", "POST"}


async def test_a_bundle_without_a_ranker(home: Path, start: Start) -> None:
    """It is live and not ready, and says why."""
    Registry(home).promote(write_bundle(home / "models", small_parts(ranked=False)))
    service = await start()
    async with triton_aio.InferenceServerClient(address(service)) as client:
        assert await client.is_server_live()
        assert not await client.is_server_ready()
        assert not await client.is_model_ready("ranker")
        with pytest.raises(InferenceServerException, match="the model that serves has none"):
            await client.infer("ranker", [tensor(features(1))])


async def test_a_version_may_be_named(service: Client) -> None:
    """That which serves; another is not there."""
    async with triton_aio.InferenceServerClient(address(service)) as client:
        (version,) = (await client.get_model_metadata("ranker"))["versions"]
        told = await client.infer("ranker", [tensor(features(2))], model_version=version)
        assert told.get_response()["model_version"] == version
        with pytest.raises(InferenceServerException, match="version '1' does not serve"):
            await client.infer("ranker", [tensor(features(2))], model_version="1")


async def test_a_ranker_that_fails_is_told(start: Start) -> None:
    """Weights so large that a row's score is no number: come again, perhaps to another model."""
    weights = np.full(len(RANKER_FEATURES), 3e38, np.float32)
    parts = small_parts(weights=weights)
    service = await start()
    service.app[keys.MODELS]._model = Model(parts)
    answer = await service.post(
        "/v2/models/ranker/infer", json=asking(shape=[2, WIDTH], data=[0.0] * WIDTH + [9.0] * WIDTH)
    )
    assert answer.status == 503
    told = (await answer.json())["error"]
    assert told.endswith("gave a score that is no number (first in row 1)")
