"""`/v2/…`: the Open Inference Protocol, for clients of KServe and Triton."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any, Final

import orjson
from aiohttp import web

from models.model import Model
from server import keys
from server.body import MAX_EVENTS_BODY, read_body
from server.errors import NotFoundError, ServiceError, UnavailableError
from server.handlers.docs import service_version
from server.infer import NAME, Inferred, infer, metadata, parse_length
from server.response import NO_HEADERS, Handler, Response

OCTETS: Final = "application/octet-stream"
LENGTH: Final = "Inference-Header-Content-Length"

INLINE_BODY: Final = 16 * 1024
"""Bytes of a request that is answered on the event loop; a larger one would hold it up."""

MOST_WAITING: Final = 16


class Tensors:
    """Answers requests for scores: large ones one after the other, in a thread of their own.

    Shoppers' lists are ranked elsewhere and do not wait for them.
    """

    def __init__(self) -> None:
        """Start no thread before one is needed."""
        self._thread = ThreadPoolExecutor(1, "tensors")
        self._waiting = 0

    async def infer(self, model: Model, body: bytes, json_length: int | None) -> Inferred:
        """Return what `server.infer.infer` does; raise `UnavailableError` where many wait."""
        if len(body) <= INLINE_BODY:
            return infer(model, body, json_length)
        if self._waiting >= MOST_WAITING:
            raise UnavailableError(f"{MOST_WAITING} large requests for scores wait already")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, infer, model, body, json_length)
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Let what is under way end."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)


def told_by_v2(handler: Handler) -> Handler:
    """Tell errors as the protocol does: `{"error": "…"}`."""

    @wraps(handler)
    async def answer(request: web.Request) -> Response:
        try:
            return await handler(request)
        except ServiceError as error:
            refused = _json({"error": error.detail}, error.status)
            refused.headers = error.headers() or NO_HEADERS
            refused.ends_connection = error.ends_connection
            return refused
        except web.HTTPException as error:  # aiohttp's: a body that grew as it was unpacked
            return _json({"error": error.reason}, error.status)

    return answer


async def live(_: web.Request) -> Response:
    """Say that the event loop turns."""
    return _json({"live": True})


async def ready(request: web.Request) -> Response:
    """Say whether the ranker can be asked; the protocol wants a 4xx for no."""
    is_ready = _ranker(request) is not None and not request.app[keys.DRAIN].is_set()
    return _json({"ready": is_ready}, 200 if is_ready else 400)


async def server(_: web.Request) -> Response:
    """Say what this is, and which extensions it has."""
    return _json(
        {"name": "cuvee", "version": service_version(), "extensions": ["binary_tensor_data"]}
    )


@told_by_v2
async def model(request: web.Request) -> Response:
    """Return the model's inputs and outputs."""
    return _json(metadata(_named(request)))


@told_by_v2
async def model_ready(request: web.Request) -> Response:
    """Say that the model can be asked; raise `NotFoundError` where it is not there."""
    return _json({"name": NAME, "ready": bool(_named(request))})


@told_by_v2
async def scores(request: web.Request) -> Response:
    """Return the ranker's scores of rows of features."""
    asked = _named(request)
    json_length = parse_length(request.headers.get(LENGTH))
    body = await read_body(request, MAX_EVENTS_BODY, also=OCTETS)
    told = await request.app[keys.TENSORS].infer(asked, body, json_length)
    if told.json_length is None:
        return Response(told.body)
    return Response(told.body, 200, OCTETS, {LENGTH: str(told.json_length)})


@told_by_v2
async def nothing(request: web.Request) -> Response:
    """Refuse what is not of the protocol, or not of what this serves of it."""
    raise NotFoundError(f"{request.method} {request.path[:200]}: see /docs")


def _ranker(request: web.Request) -> Model | None:
    """Return the model that serves, if it has a ranker."""
    serving = request.app[keys.MODELS].model
    return serving if serving is not None and serving.has_ranker else None


def _named(request: web.Request) -> Model:
    """Return the model that the path names."""
    name, version = request.match_info["name"], request.match_info.get("version")
    if name != NAME:
        raise NotFoundError(f"there is no model {name!r:.140}: expected {NAME}")
    serving = _ranker(request)
    if serving is None:
        raise NotFoundError(f"{NAME}: the model that serves has none")
    if version not in {None, serving.version}:
        raise NotFoundError(
            f"{NAME}: version {version!r:.140} does not serve, {serving.version} does"
        )
    return serving


def _json(told: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(told), status)
