"""`GET /v1/items/{id}/similar` and `GET /v1/popular`: lists that belong to no shopper."""

import asyncio
from typing import Any, Final

import orjson
from aiohttp import web

from models.request import ANY_IN_STOCK, NO_HASHES
from server import keys
from server.errors import NotFoundError
from server.query import DEFAULT_K, MAX_K, parse_count, parse_path_id
from server.response import Response

MOST_INLINE: Final = 20_000
"""Items that are compared on the event loop; more would hold it up."""


async def similar(request: web.Request) -> Response:
    """Return the neighbours of an item."""
    k = parse_count(request.query, "k", DEFAULT_K, MAX_K)
    model = request.app[keys.MODELS].require()
    item_id = parse_path_id(request.match_info, "item_id")
    index = model.index_of(item_id)
    if index is None:
        raise NotFoundError(f"item {item_id!r:.140} is not in the catalogue of this model")
    if len(model) <= MOST_INLINE:
        items = model.similar(index, k)
    else:
        items = await asyncio.to_thread(model.similar, index, k)
    return _listed({"item_id": item_id}, model.json(items), model.version)


async def popular(request: web.Request) -> Response:
    """Return what a segment buys, or everybody."""
    k = parse_count(request.query, "k", DEFAULT_K, MAX_K)
    model = request.app[keys.MODELS].require()
    name = request.query.get("segment", model.segment_names[0])
    segment = model.segment_named(name)
    if segment is None:
        raise NotFoundError(f"segment {name!r:.140} is none of this model's")
    items = model.popular_json(segment, NO_HASHES, ANY_IN_STOCK, k)
    return _listed({"segment": name}, items, model.version)


def _listed(subject: dict[str, Any], items: bytes, version: str) -> Response:
    body = orjson.dumps({**subject, "items": orjson.Fragment(items), "model_version": version})
    return Response(body)
